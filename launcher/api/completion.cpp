#include "launcher/api/completion.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <numeric>

namespace shardline::launcher::api {
namespace {

double seconds_since(TimePoint t) { return std::chrono::duration<double>(Clock::now() - t).count(); }

CompletionRequest without_prompts(const CompletionRequest& request) {
  CompletionRequest copy = request;
  copy.messages.clear();
  copy.prompts.clear();
  return copy;
}

}  // namespace

Completion::Completion(Controller& controller, const ServedModel& model, const CompletionRequest& request,
                       std::vector<GenerateRequest> prompts, std::shared_ptr<http::Responder> responder, std::string log_name)
    : controller_(controller),
      request_(without_prompts(request)),
      pending_(std::move(prompts)),
      responder_(std::move(responder)),
      writer_(request, model),
      log_name_(std::move(log_name)),
      choices_(static_cast<std::size_t>(request.choices())),
      started_(choices_.size()),
      cached_(pending_.size()) {
  for (const GenerateRequest& g : pending_) {
    usage_.prompt += static_cast<int>(g.prompt.size());
    prompt_ids_.push_back(request.return_token_ids ? g.prompt : std::vector<TokenId>());
  }
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    choices_[i].index = static_cast<int>(i);
    if (request.return_token_ids) choices_[i].prompt = &prompt_ids_[i / static_cast<std::size_t>(request.generate.n)];
  }
}

void Completion::start() {
  const auto self = shared_from_this();
  responder_->on_gone([self](std::string_view why) { self->give_up(why); });
  std::vector<std::uint64_t> ids;
  std::optional<ApiError> fault;
  for (std::size_t i = 0; i < pending_.size() && !fault; ++i) {
    const auto id = controller_.submit(std::move(pending_[i]), [self, i](GenerateEvent event) {
      self->responder_->run([self, i, event = std::move(event)]() mutable { self->on_event(i, std::move(event)); });
    });
    if (id.ok())
      ids.push_back(*id);
    else
      fault = api_error(id.error(), controller_.retry_after());
  }
  responder_->run([self, ids = std::move(ids), fault = std::move(fault)] {
    self->ids_ = ids;
    if (self->done_) return self->cancel_all();  // the client left, or a prompt failed, while the others were submitted
    if (fault) return self->fail(*fault);
    if (self->request_.stream) self->begin();
  });
}

void Completion::begin() {
  if (std::exchange(begun_, true)) return;
  responder_->begin_events();
}

void Completion::on_event(std::size_t prompt, GenerateEvent event) {
  if (done_) return;
  if (event.finish == scheduler::Finish::error) return fail(api_error({event.error_code, event.error, ""}, 0));
  if (first_ == 0) first_ = seconds_since(arrival_);
  if (event.choice == 0) cached_[prompt] = event.cached_tokens;
  usage_.cached = std::accumulate(cached_.begin(), cached_.end(), 0);
  usage_.completion += static_cast<int>(event.tokens.size());
  Piece& choice = choices_[prompt * static_cast<std::size_t>(request_.generate.n) + static_cast<std::size_t>(event.choice)];
  choice.finish = event.finish;
  const bool ends = event.finish != scheduler::Finish::none;
  if (request_.stream)
    stream(choice, event);
  else
    collect(choice, event);
  if (ends && ++finished_ == static_cast<int>(choices_.size())) complete();
}

void Completion::collect(Piece& all, GenerateEvent& event) {
  all.text += event.text;
  if (request_.logprobs() || request_.return_token_ids) std::ranges::move(event.tokens, std::back_inserter(all.tokens));
  all.stop_reason = std::move(event.stop_reason);
}

void Completion::stream(Piece& all, GenerateEvent& event) {
  begin();
  Piece piece{all.index, std::move(event.text), std::move(event.tokens), event.finish, std::move(event.stop_reason), all.offset};
  all.offset += writer_.characters(piece.tokens);
  if (!started_[static_cast<std::size_t>(all.index)]) {
    started_[static_cast<std::size_t>(all.index)] = true;
    if (request_.chat)
      responder_->write_event(writer_.role(all, chunk_usage()));
    else
      piece.prompt = all.prompt;
  }
  responder_->write_event(writer_.chunk(piece, chunk_usage()));
}

void Completion::complete() {
  done_ = true;
  std::string finish = "stop";
  for (const Piece& p : choices_)
    if (p.finish == scheduler::Finish::length) finish = "length";
  if (request_.stream) {
    if (request_.include_usage) responder_->write_event(writer_.last(usage_));
    responder_->write_event("[DONE]");
    responder_->end_events();
  } else {
    responder_->send({.body = writer_.whole(choices_, usage_)});
  }
  log(200, finish);
}

// A stream that began ends with one event and without [DONE].
void Completion::fail(const ApiError& error) {
  if (std::exchange(done_, true)) return;
  cancel_all();
  if (begun_) {
    responder_->write_event(error_json(error));
    responder_->end_events();
  } else {
    responder_->send(error_response(error));
  }
  log(error.status, "error: " + error.message);
}

void Completion::give_up(std::string_view why) {
  if (std::exchange(done_, true)) return;
  cancel_all();
  log(499, why);
}

void Completion::cancel_all() {
  for (const std::uint64_t id : ids_) controller_.cancel(id);
}

void Completion::log(int status, std::string_view finish) const {
  spdlog::info("{} {} {} prompt={} cached={} tokens={} choices={} ttft={:.1f}ms total={:.3f}s {}", log_name_, writer_.id(), status,
               usage_.prompt, usage_.cached, usage_.completion, choices_.size(), first_ * 1e3, seconds_since(arrival_), for_log(finish));
}

}  // namespace shardline::launcher::api

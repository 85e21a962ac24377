// One request for text on its way through the controller: prompts in, pieces out, one answer or a stream of events.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "launcher/api/answer.h"
#include "launcher/http/http.h"

namespace shardline::launcher::api {

// All members but `responder_` and `controller_` belong to the server's I/O thread, where pieces become JSON.
class Completion : public std::enable_shared_from_this<Completion> {
 public:
  Completion(Controller& controller, const ServedModel& model, const CompletionRequest& request, std::vector<GenerateRequest> prompts,
             std::shared_ptr<http::Responder> responder, std::string log_name);

  void start();  // on any thread; answers later, whatever happens

 private:
  void begin();
  void on_event(std::size_t prompt, GenerateEvent event);
  void collect(Piece& all, GenerateEvent& event);
  void stream(Piece& all, GenerateEvent& event);
  void complete();
  void fail(const ApiError& error);
  void give_up(std::string_view why);
  void cancel_all();
  void log(int status, std::string_view finish) const;
  const Usage* chunk_usage() const { return request_.continuous_usage ? &usage_ : nullptr; }

  Controller& controller_;
  const CompletionRequest request_;  // without its messages and prompts
  std::vector<std::vector<TokenId>> prompt_ids_;
  std::vector<GenerateRequest> pending_;  // until start()
  const std::shared_ptr<http::Responder> responder_;
  const AnswerWriter writer_;
  const std::string log_name_;
  const TimePoint arrival_ = Clock::now();

  std::vector<std::uint64_t> ids_;  // in the controller
  std::vector<Piece> choices_;      // [prompt * n + choice]; what came so far, as much of it as the answer needs
  std::vector<bool> started_;
  std::vector<int> cached_;  // [prompt]
  Usage usage_;
  int finished_ = 0;
  bool begun_ = false, done_ = false;
  double first_ = 0;  // seconds to the first piece
};

}  // namespace shardline::launcher::api

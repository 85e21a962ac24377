// The routes: OpenAI's completions and chats with vLLM's additions, tokens, models, health, metrics.
#pragma once
#include <ctime>
#include <memory>

#include "launcher/api/request.h"
#include "launcher/http/http.h"
#include "launcher/metrics/metrics.h"
#include "launcher/serve.h"

namespace shardline::launcher::api {

class Api {
 public:
  // All outlive the Api.
  Api(Controller& controller, Metrics& metrics, const ServedModel& model, const ServeInfo& info);

  void handle(http::Request request, const std::shared_ptr<http::Responder>& responder) const;

 private:
  using Route = void (Api::*)(const http::Request&, const std::shared_ptr<http::Responder>&) const;
  struct Entry {
    const char* path;
    bool post;  // else GET and HEAD
    Route route;
  };
  static const Entry kRoutes[];

  void chat(const http::Request& request, const std::shared_ptr<http::Responder>& responder) const;
  void completions(const http::Request& request, const std::shared_ptr<http::Responder>& responder) const;
  void complete(const http::Request& request, const std::shared_ptr<http::Responder>& responder, bool chat) const;
  void tokenize(const http::Request& request, const std::shared_ptr<http::Responder>& responder) const;
  void detokenize(const http::Request& request, const std::shared_ptr<http::Responder>& responder) const;
  void models(const http::Request& request, const std::shared_ptr<http::Responder>& responder) const;
  void live(const http::Request& request, const std::shared_ptr<http::Responder>& responder) const;
  void ready(const http::Request& request, const std::shared_ptr<http::Responder>& responder) const;
  void health(const http::Request& request, const std::shared_ptr<http::Responder>& responder) const;
  void version(const http::Request& request, const std::shared_ptr<http::Responder>& responder) const;
  void metrics(const http::Request& request, const std::shared_ptr<http::Responder>& responder) const;

  Controller& controller_;
  Metrics& metrics_;
  const ServedModel& model_;
  const ServeInfo& info_;
  const std::time_t created_;
};

// While the model is being read: /livez answers 200, everything else 503.
void handle_loading(const http::Request& request, const std::shared_ptr<http::Responder>& responder);

}  // namespace shardline::launcher::api

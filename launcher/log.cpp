#include "launcher/log.h"

#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace shardline::launcher {

struct Log::Impl {
  static constexpr std::size_t kLines = 4096;

  std::shared_ptr<spdlog::logger> before = spdlog::default_logger();
  std::shared_ptr<spdlog::details::thread_pool> writer = std::make_shared<spdlog::details::thread_pool>(kLines, 1);
  std::shared_ptr<spdlog::logger> logger = std::make_shared<spdlog::async_logger>(
      "shardline", std::make_shared<spdlog::sinks::stderr_sink_mt>(), writer, spdlog::async_overflow_policy::overrun_oldest);
};

Log::Log() : impl_(std::make_unique<Impl>()) {
  impl_->logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %l %v");
  spdlog::set_default_logger(impl_->logger);
}

Log::~Log() { spdlog::set_default_logger(impl_->before); }

}  // namespace shardline::launcher

// How the program ends: the statuses of sysexits.h. Only a finished command and a requested drain give 0.
#pragma once
#include "engine/base/result.h"

namespace shardline::launcher {

inline constexpr int kExitOk = 0;
inline constexpr int kExitUsage = 64;  // the command line itself is wrong
inline constexpr int kExitBadModel = 65;
inline constexpr int kExitNoFile = 66;
inline constexpr int kExitUnavailable = 69;  // port in use, or a peer missing
inline constexpr int kExitEngine = 70;       // a rank was lost, or the engine failed
inline constexpr int kExitSystem = 71;       // the operating system refused
inline constexpr int kExitConfig = 78;       // options that do not fit the model, the machine or the number of ranks

inline int exit_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::usage:
    case ErrorCode::invalid_argument: return kExitConfig;
    case ErrorCode::bad_model: return kExitBadModel;
    case ErrorCode::not_found: return kExitNoFile;
    case ErrorCode::unavailable:
    case ErrorCode::timeout: return kExitUnavailable;
    case ErrorCode::io: return kExitSystem;
    case ErrorCode::exhausted:
    case ErrorCode::lost:
    case ErrorCode::internal: return kExitEngine;
  }
  return kExitEngine;
}

}  // namespace shardline::launcher

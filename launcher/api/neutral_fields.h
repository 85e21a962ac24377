// Fields of other servers that this one lacks. A value that changes nothing is accepted, so that clients which send every field work; a
// value that would have an effect is refused by name rather than ignored.
#pragma once
#include <boost/json/fwd.hpp>

#include "launcher/api/fields.h"

namespace shardline::launcher::api {

void check_neutral(const boost::json::object& body, int n, Fields& fields);

}  // namespace shardline::launcher::api

// The grammar of Jinja 3.1 without inheritance and imports.
#pragma once
#include <string_view>

#include "engine/text/jinja/ast.h"

namespace shardline::jinja {

ast::Body parse(std::string_view source);  // throws TemplateError with the line

}  // namespace shardline::jinja

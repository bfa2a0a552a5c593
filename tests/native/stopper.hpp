// A monitor that ends a call at its first question.
#pragma once

#include <cstdint>

#include "core/parallel.hpp"

namespace coalign::testing {

class Stopper final : public Monitor {
   public:
    bool keep_going(std::int64_t) override { return false; }
};

}  // namespace coalign::testing

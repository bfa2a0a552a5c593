// Counted checks for plain executables: a failure names its place and its case, and the others still run.
#pragma once

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <source_location>
#include <string>

namespace coalign::testing {

struct Tally {
    std::atomic<long> passed{0}, failed{0};
};

inline Tally tally;

// Usable from any thread. `what` names the case where the place alone does not.
inline void check(bool holds, const std::string& what = {},
                  const std::source_location& where = std::source_location::current()) {
    constexpr long shown = 20;
    if (holds) {
        ++tally.passed;
    } else if (++tally.failed <= shown) {
        std::fprintf(stderr, "%s:%u: failed%s%s\n", where.file_name(), static_cast<unsigned>(where.line()),
                     what.empty() ? "" : ": ", what.c_str());
    }
}

// Whether to solve a few problems of each kind: under a sanitizer or an emulated processor, each takes many times as
// long. The presets say so by COALIGN_TEST_FEW.
inline bool few() {
    static const bool is_set = std::getenv("COALIGN_TEST_FEW") != nullptr;
    return is_set;
}

// What main returns: a test that checked nothing has failed too.
inline int report() {
    std::printf("%ld passed, %ld failed\n", tally.passed.load(), tally.failed.load());
    return tally.failed == 0 && tally.passed > 0 ? 0 : 1;
}

}  // namespace coalign::testing

// Device memory that one call shares out.
#pragma once

#include <cstdint>

namespace coalign::cuda {

inline std::int64_t rounded_up(std::int64_t value, std::int64_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

// Shared out from the front of a workspace, each part on 256 bytes; with no workspace it only counts.
class Arena {
   public:
    explicit Arena(void* base) : base_(static_cast<unsigned char*>(base)) {}
    template <class T>
    T* take(std::int64_t count) {
        const std::int64_t at = used_;
        used_ += rounded_up(count * static_cast<std::int64_t>(sizeof(T)), 256);
        return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + at);
    }
    std::int64_t used() const { return used_; }

   private:
    unsigned char* base_;
    std::int64_t used_ = 0;
};

}  // namespace coalign::cuda

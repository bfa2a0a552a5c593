// A growing, cache-line aligned scratch array: one per worker, so that no problem allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace coalign {

template <class T>
class Buffer {
   public:
    // Room for `count` elements, their values unspecified. What was there before is lost when it has to grow.
    T* reserve(std::int64_t count) {
        if (count > capacity_) {
            data_.reset();
            capacity_ = 0;
            data_.reset(static_cast<T*>(
                ::operator new(static_cast<std::size_t>(count) * sizeof(T), std::align_val_t{kAlignment})));
            capacity_ = count;
        }
        return data_.get();
    }

    T* data() const { return data_.get(); }

   private:
    static constexpr std::size_t kAlignment = 64;
    struct Free {
        void operator()(T* p) const { ::operator delete(p, std::align_val_t{kAlignment}); }
    };
    std::unique_ptr<T, Free> data_;
    std::int64_t capacity_ = 0;
};

}  // namespace coalign

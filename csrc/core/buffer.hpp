// A growing, cache-line aligned scratch array: one per worker, so that no problem allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace coalign {

template <class T>
class Buffer {
   public:
    // Room for `count` elements, their values unspecified. What was there before is lost when it has to grow.
    T* reserve(std::int64_t count) {
        if (count > capacity_) {
            held_.reset();
            data_ = nullptr;
            capacity_ = 0;
            const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
            const std::size_t alignment = bytes < kHugePage ? kCacheLine : kHugePage;
            std::size_t room = bytes + (kExact ? 0 : alignment - 1);
            void* begin = kExact ? ::operator new(bytes, std::align_val_t{alignment}) : ::operator new(room);
            held_ = {static_cast<std::byte*>(begin), Free{alignment}};
            data_ = static_cast<T*>(std::align(alignment, bytes, begin, room));
#if defined(__linux__)
            // A fresh page costs 2 us here: 24 MB of checkpoints took 9 ms to touch, 3 ms in huge pages. Advice only.
            if (bytes >= kHugePage) static_cast<void>(madvise(data_, bytes, MADV_HUGEPAGE));
#endif
            capacity_ = count;
        }
        return data_;
    }

    T* data() const { return data_; }

   private:
    static constexpr std::size_t kCacheLine = 64;
    static constexpr std::size_t kHugePage = std::size_t{1} << 21;
    // Aligned by hand: glibc keeps small blocks ready for plain allocations alone, and an aligned one of 1 KB takes
    // some 900 instructions. The address sanitizer is to see every byte past the end, so there it is left to the
    // allocator.
#if defined(__SANITIZE_ADDRESS__)
    static constexpr bool kExact = true;
#else
    static constexpr bool kExact = false;
#endif
    struct Free {
        std::size_t alignment = 0;
        void operator()(std::byte* p) const {
            kExact ? ::operator delete(p, std::align_val_t{alignment}) : ::operator delete(p);
        }
    };
    std::unique_ptr<std::byte, Free> held_;
    T* data_ = nullptr;
    std::int64_t capacity_ = 0;
};

}  // namespace coalign

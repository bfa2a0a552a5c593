// Device memory for the tests of kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

namespace coalign::testing {

// Memory of exactly the size asked for, that starts as noise.
template <class T>
class Noise {
   public:
    explicit Noise(std::int64_t count) : memory_(new T[static_cast<std::size_t>(count)]) {
        std::memset(static_cast<void*>(memory_.get()), 0xff, static_cast<std::size_t>(count) * sizeof(T));
    }
    T* get() const { return memory_.get(); }
    T operator[](std::int64_t at) const { return memory_[static_cast<std::size_t>(at)]; }

   private:
    std::unique_ptr<T[]> memory_;
};

}  // namespace coalign::testing

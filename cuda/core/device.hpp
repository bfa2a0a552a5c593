// What host code knows of the GPUs; no header of CUDA is needed to include this.
#pragma once

#include <stdexcept>
#include <string>

namespace coalign::cuda {

// A call of the CUDA runtime failed; the message says which, and why.
class DeviceFailure : public std::runtime_error {
   public:
    using std::runtime_error::runtime_error;
};

struct DeviceCount {
    int count;
    std::string problem;  // why it is 0
};

DeviceCount count_devices();
int multiprocessors(int device);

// Makes a device the calling thread's current one, and the former one again at its end.
class DeviceScope {
   public:
    explicit DeviceScope(int device);
    ~DeviceScope();
    DeviceScope(const DeviceScope&) = delete;
    DeviceScope& operator=(const DeviceScope&) = delete;

   private:
    int former_ = 0;
};

}  // namespace coalign::cuda

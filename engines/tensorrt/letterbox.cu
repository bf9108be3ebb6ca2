// From camera pictures straight into the input tensor of a network: resize, pad, colour order, normalise and lay out,
// in one pass over the output. Compiled at install time (see kernels.py), loaded by PyCUDA.
#include <cuda_fp16.h>

#include "letterbox.cuh"

namespace {

constexpr int kAcross = 4;  // pixels of one thread: a plane of float32 is then written 16 bytes at a time

template <typename T>
__device__ __forceinline__ T as(float value);
template <>
__device__ __forceinline__ float as<float>(float value) { return value; }
template <>
__device__ __forceinline__ __half as<__half>(float value) { return __float2half_rn(value); }
template <>
__device__ __forceinline__ unsigned char as<unsigned char>(float value) { return (unsigned char)value; }

template <typename T>
struct alignas(sizeof(T) * kAcross) Run {
  T value[kAcross];
};

// blockIdx.z is the row of the batch.
template <typename T>
__device__ __forceinline__ void fill(const Picture *pictures, T *target, const Input &input) {
  const int x = (blockIdx.x * blockDim.x + threadIdx.x) * kAcross, y = blockIdx.y * blockDim.y + threadIdx.y;
  const int row = blockIdx.z;
  if (x >= input.width || y >= input.height) return;
  const Picture picture = pictures[row];
  Run<T> channels[3];
#pragma unroll
  for (int each = 0; each < kAcross; ++each) {
    int bgr[3];
    placed_pixel(picture, input, min(x + each, input.width - 1), y, bgr);
#pragma unroll
    for (int channel = 0; channel < 3; ++channel) channels[channel].value[each] = as<T>(normalised(input, channel, bgr));
  }
  if (!input.interleaved && input.width % kAcross == 0) {
#pragma unroll
    for (int channel = 0; channel < 3; ++channel)
      *reinterpret_cast<Run<T> *>(target + place(input, row, channel, x, y)) = channels[channel];
    return;
  }
  for (int each = 0; each < kAcross && x + each < input.width; ++each)
    for (int channel = 0; channel < 3; ++channel)
      target[place(input, row, channel, x + each, y)] = channels[channel].value[each];
}

}  // namespace

// `input` goes by value: a recorded CUDA graph keeps it. What changes from frame to frame is behind `pictures`.
extern "C" __global__ void letterbox_float32(const Picture *pictures, float *target, Input input) { fill(pictures, target, input); }
extern "C" __global__ void letterbox_float16(const Picture *pictures, __half *target, Input input) { fill(pictures, target, input); }
extern "C" __global__ void letterbox_uint8(const Picture *pictures, unsigned char *target, Input input) { fill(pictures, target, input); }

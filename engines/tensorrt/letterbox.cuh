// One pixel of a picture on its way into a network: bilinear resize, colour, normalisation. Shared by the CUDA kernels
// and by a build for the host, which proves the arithmetic on a machine without a GPU.
//
// The arithmetic is OpenCV's own for 8-bit pictures: weights are whole numbers of 2048 parts, made by the host once per
// size of picture, so no rounding differs from cv2.resize(INTER_LINEAR) and cv2.cvtColor(COLOR_YUV2BGR_NV12).
#pragma once
#ifndef __CUDACC__
#define __host__
#define __device__
#define __forceinline__ inline
#endif

// Where an output column (or row) reads: between source pixels `near` and `far`, in parts of 2048.
struct Tap {
  int near, far;
  int near_weight, far_weight;
};

// A picture that waits; 64 bytes, as letterbox.py lays it out.
struct Picture {
  unsigned long long source;   // BGR rows of 3 * width bytes, or NV12: height rows of width bytes, then half as many of pairs
  unsigned long long columns;  // Tap[width of the placed picture]
  unsigned long long rows;     // Tap[height of the placed picture]
  int width, height;
  int left, top, placed_width, placed_height;  // where it lies in the network's input
  int nv12;
  int size;  // in bytes; of use to the host alone
};

struct Input {
  int width, height;
  int interleaved;  // 1: (rows, height, width, 3), 0: (rows, 3, height, width)
  int rgb;
  int pad;
  float mean[3], divisor[3];  // in the order of the channels
};

// ITU-R BT.601 in parts of 2^20, as OpenCV has it.
__host__ __device__ __forceinline__ int clip(int value) { return value < 0 ? 0 : value > 255 ? 255 : value; }

__host__ __device__ __forceinline__ void source_pixel(const Picture &picture, int x, int y, int bgr[3]) {
  const unsigned char *source = (const unsigned char *)picture.source;
  if (!picture.nv12) {
    const unsigned char *pixel = source + 3 * ((long long)y * picture.width + x);
    bgr[0] = pixel[0];
    bgr[1] = pixel[1];
    bgr[2] = pixel[2];
    return;
  }
  const unsigned char *pair = source + (long long)(picture.height + y / 2) * picture.width + (x & ~1);
  const int u = pair[0] - 128, v = pair[1] - 128, half = 1 << 19;
  int luma = source[(long long)y * picture.width + x] - 16;
  luma = (luma < 0 ? 0 : luma) * 1220542;
  bgr[0] = clip((luma + half + 2116026 * u) >> 20);
  bgr[1] = clip((luma + half - 852492 * v - 409993 * u) >> 20);
  bgr[2] = clip((luma + half + 1673527 * v) >> 20);
}

// What the input holds at (x, y), as blue, green, red of 0 to 255.
__host__ __device__ __forceinline__ void placed_pixel(const Picture &picture, const Input &input, int x, int y, int bgr[3]) {
  const int column = x - picture.left, row = y - picture.top;
  const bool inside = picture.source && column >= 0 && row >= 0 && column < picture.placed_width && row < picture.placed_height;
  if (!inside) {
    bgr[0] = bgr[1] = bgr[2] = input.pad;
    return;
  }
  const Tap across = ((const Tap *)picture.columns)[column], down = ((const Tap *)picture.rows)[row];
  int a[3], b[3], c[3], d[3];
  source_pixel(picture, across.near, down.near, a);
  source_pixel(picture, across.far, down.near, b);
  source_pixel(picture, across.near, down.far, c);
  source_pixel(picture, across.far, down.far, d);
  for (int each = 0; each < 3; ++each) {
    const int upper = a[each] * across.near_weight + b[each] * across.far_weight;
    const int lower = c[each] * across.near_weight + d[each] * across.far_weight;
    bgr[each] = (((down.near_weight * (upper >> 4)) >> 16) + ((down.far_weight * (lower >> 4)) >> 16) + 2) >> 2;
  }
}

// One channel's value for the network.
__host__ __device__ __forceinline__ float normalised(const Input &input, int channel, const int bgr[3]) {
  const float value = (float)(input.rgb ? bgr[2 - channel] : bgr[channel]);
#ifdef __CUDA_ARCH__
  return __fdiv_rn(value - input.mean[channel], input.divisor[channel]);
#else
  return (value - input.mean[channel]) / input.divisor[channel];
#endif
}

// Index of a channel of a pixel in the input tensor.
__host__ __device__ __forceinline__ long long place(const Input &input, int row, int channel, int x, int y) {
  const long long plane = (long long)input.width * input.height;
  const long long pixel = (long long)y * input.width + x;
  return input.interleaved ? 3 * (row * plane + pixel) + channel : (3LL * row + channel) * plane + pixel;
}

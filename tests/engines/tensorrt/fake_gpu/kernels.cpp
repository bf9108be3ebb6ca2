// The kernels for the fake driver, and one entry for tests: the arithmetic of letterbox.cuh, pixel by pixel.
//   g++ -O2 -shared -fPIC -I FOLDER_OF_LETTERBOX_CUH -o kernels.so kernels.cpp
#include <cstdint>
#include <cstring>

#include "letterbox.cuh"

static uint16_t half(float value) {  // to nearest, ties to even; for finite values in range
  _Float16 narrow = (_Float16)value;
  uint16_t bits;
  std::memcpy(&bits, &narrow, 2);
  return bits;
}
static void put(float *target, long long at, float value) { target[at] = value; }
static void put(uint16_t *target, long long at, float value) { target[at] = half(value); }
static void put(unsigned char *target, long long at, float value) { target[at] = (unsigned char)value; }

template <typename T>
static void fill(const Picture *pictures, int rows, T *target, const Input &input) {
  for (int row = 0; row < rows; ++row)
    for (int y = 0; y < input.height; ++y)
      for (int x = 0; x < input.width; ++x) {
        int bgr[3];
        placed_pixel(pictures[row], input, x, y, bgr);
        for (int channel = 0; channel < 3; ++channel)
          put(target, place(input, row, channel, x, y), normalised(input, channel, bgr));
      }
}

// The argument buffer as PyCUDA packs it: two addresses, then the struct by value.
template <typename T>
static void launch(const void *arguments, const unsigned grid[3]) {
  const Picture *pictures;
  T *target;
  Input input;
  std::memcpy(&pictures, arguments, 8);
  std::memcpy(&target, (const char *)arguments + 8, 8);
  std::memcpy(&input, (const char *)arguments + 16, sizeof input);
  fill(pictures, grid[2], target, input);
}

extern "C" {
void fake_letterbox_float32(const void *a, const unsigned grid[3], const unsigned *) { launch<float>(a, grid); }
void fake_letterbox_float16(const void *a, const unsigned grid[3], const unsigned *) { launch<uint16_t>(a, grid); }
void fake_letterbox_uint8(const void *a, const unsigned grid[3], const unsigned *) { launch<unsigned char>(a, grid); }

void letterbox_float32(const Picture *p, int rows, float *t, const Input *input) { fill(p, rows, t, *input); }
void letterbox_float16(const Picture *p, int rows, uint16_t *t, const Input *input) { fill(p, rows, t, *input); }
void letterbox_uint8(const Picture *p, int rows, unsigned char *t, const Input *input) { fill(p, rows, t, *input); }
int size_of_picture() { return sizeof(Picture); }
int size_of_input() { return sizeof(Input); }
int size_of_tap() { return sizeof(Tap); }
}

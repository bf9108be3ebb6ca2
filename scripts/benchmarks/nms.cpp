// Greedy non-maximum suppression on the processor, under the name that Ultralytics calls.
//
// torchvision's published wheels go with one build of torch each; beside another its compiled operators do not load. This
// stands in for the one that prediction needs, so that the peer runs, and is not slowed down by a loop in Python.
#include <torch/library.h>
#include <torch/torch.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace {

struct Box {
  float left, top, right, bottom;
  float area() const { return (right - left) * (bottom - top); }
};

float overlap(const Box& a, const Box& b) {
  const float width = std::min(a.right, b.right) - std::max(a.left, b.left);
  const float height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  return width > 0 && height > 0 ? width * height : 0.0f;
}

// Indices of the boxes that stay, the best first. A box goes when it overlaps a better one by more than the threshold.
at::Tensor nms(const at::Tensor& boxes, const at::Tensor& scores, double threshold) {
  const at::Tensor rows = boxes.to(at::kFloat).contiguous();
  const at::Tensor values = scores.to(at::kFloat).contiguous();
  const Box* box = reinterpret_cast<const Box*>(rows.data_ptr<float>());
  const float* score = values.data_ptr<float>();
  std::vector<int64_t> left(rows.size(0));
  std::iota(left.begin(), left.end(), 0);
  std::stable_sort(left.begin(), left.end(), [&](int64_t a, int64_t b) { return score[a] > score[b]; });
  std::vector<int64_t> kept;
  while (!left.empty()) {
    const int64_t best = left.front();
    kept.push_back(best);
    auto goes = [&](int64_t other) {
      const float common = overlap(box[best], box[other]);
      return other == best || common > threshold * (box[best].area() + box[other].area() - common);
    };
    left.erase(std::remove_if(left.begin(), left.end(), goes), left.end());
  }
  return at::tensor(kept, at::kLong);
}

}  // namespace

TORCH_LIBRARY(torchvision, library) {
  library.def("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor");
  library.def("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor");  // torchvision names it while importing
}

TORCH_LIBRARY_IMPL(torchvision, CPU, library) { library.impl("nms", nms); }

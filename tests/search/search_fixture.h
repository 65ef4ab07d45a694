// A search of three structures on small images, with answers of a teacher that was never trained.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "compress/distillation.h"
#include "search/search.h"
#include "synthetic.h"

namespace retort::search {

inline SearchSettings tiny_search() {
  SearchSettings settings = preset("notebook");
  settings.sampler = "list";
  settings.configs = {"1,1,8,0", "1,1,16,0", "1,1,8,1,8", "1,1,8,0,256"};  // the last is the first again
  settings.pipeline.batch_size = 16;
  settings.pipeline.schedule.peak = 5e-3F;
  settings.pipeline.gate = 0;
  settings.pipeline.quick_epochs = 2;
  settings.pipeline.distill_epochs = 2;
  settings.pipeline.pruning.update_every = 2;
  settings.pipeline.qat_epochs = 2;
  settings.teacher.epochs = 1;
  settings.top = 2;
  settings.finalist_seeds = 2;
  // The notebook's teacher would take most of a test's time.
  settings.teacher.kind = TeacherKind::Logits;
  return settings;
}

class Listener : public ProgressSink {
 public:
  void update(std::string_view, double, double, std::string_view) override {}
  void message(std::string_view text) override {
    const std::lock_guard lock(mutex_);
    said += text;
  }
  void trained(int64_t count) override { images += count; }
  std::string said;
  std::atomic<int64_t> images = 0;

 private:
  std::mutex mutex_;
};

class SearchTest : public testing::Test {
 protected:
  SearchTest() {
    Rng rng(2);
    engine::TeacherLogits logits;
    logits.classes = 3;
    logits.images = dataset.train.count();
    for (size_t i = 0; i < logits.images; ++i)
      for (int c = 0; c < 3; ++c)
        logits.values.push_back((dataset.train.labels[i] == c ? 4.0F : 0.0F) + rng.uniform(-1, 1));
    settings.teacher.path = (logits_folder.path() / "logits.npy").string();
    compress::save_teacher_logits(settings.teacher.path, logits, dataset);
  }

  StudyResult run(const std::filesystem::path& folder, int workers = 1, std::stop_token stop = {}) {
    return run_search(settings, dataset, {.folder = folder, .workers = workers, .stop = std::move(stop)});
  }

  data::Dataset dataset = synthetic();
  TemporaryFolder logits_folder;
  SearchSettings settings = tiny_search();
};

}  // namespace retort::search

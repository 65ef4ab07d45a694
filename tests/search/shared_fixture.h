// A search whose study is in a storage that several share.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <utility>

#include "search/search.h"
#include "search/settings.h"
#include "study/storage.h"
#include "synthetic.h"

namespace retort::search {

class SharedTest : public testing::Test {
 protected:
  SharedTest() {
    settings.sampler = "list";
    settings.configs = {"1,1,8,0", "1,1,16,0", "1,1,8,1,8"};
    settings.pipeline.batch_size = 16;
    settings.pipeline.gate = 0;
    settings.pipeline.quick_epochs = 1;
    settings.pipeline.distill_epochs = 1;
    settings.pipeline.pruning.update_every = 2;
    settings.pipeline.qat_epochs = 1;
    settings.teacher = {.config = "1,1,8,0", .epochs = 1};
    settings.top = 1;
    settings.finalist_seeds = 2;
    place.url = "sqlite:" + (folder.path() / "shared.db").string();
    place.study = "mine";
  }
  [[nodiscard]] std::filesystem::path at(const std::string& name) const { return folder.path() / name; }
  StudyResult run(const std::string& name, const study::Place& where, std::stop_token stop = {},
                  std::function<void(const StudyResult&)> changed = {}) {
    return run_search(settings, dataset,
                      {.folder = at(name),
                       .storage = where,
                       .lease_seconds = 1,
                       .workers = 1,
                       .stop = std::move(stop),
                       .changed = std::move(changed)});
  }
  // Until so many candidates are finished.
  void run_some(const std::string& name, size_t trials) {
    std::stop_source stop;
    EXPECT_EQ(thrown_by([&] {
                run(name, place, stop.get_token(), [&](const StudyResult& study) {
                  if (study.trials.size() >= trials) stop.request_stop();
                });
              }).code,
              ErrorCode::Interrupted);
  }

  SearchSettings settings = preset("notebook");
  data::Dataset dataset = synthetic();
  TemporaryFolder folder;
  study::Place place;
};

}  // namespace retort::search

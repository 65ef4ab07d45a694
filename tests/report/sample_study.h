// A study such as a search leaves, for the tests of what people look at.
#pragma once

#include "search/results.h"

namespace retort::report {

inline search::StudyResult sample_study(int complete, int skipped) {
  search::StudyResult study;
  study.data_spec = "images:photos & <more>?gray=1";
  study.content_hash = "0123456789abcdef";
  study.classes = {"cat", "dog"};
  study.train_images = 48000;
  study.validation_images = 12000;
  study.test_images = 10000;
  study.preset = "quick";
  study.settings_json = R"({"seed": 42})";
  study.command = "retort search out --data 'images:photos & <more>?gray=1'";
  study.teacher.source = "trained";
  study.teacher.validation_accuracy = 0.93;
  study.seconds = 480;
  for (int i = 0; i < complete + skipped; ++i) {
    search::TrialResult trial;
    trial.number = i;
    trial.config = "2 blocks, 1 layer, " + std::to_string(16 + i) + " filters";
    trial.layers = "[('Conv2D', 16), ('Dense', 10)]";
    trial.quick_accuracy = 0.5 + 0.01 * i;
    trial.parameters = 1000 << i;
    trial.macs = 100000 * (i + 1);
    trial.flash_bytes = 4096 << i;
    trial.arena_bytes_cortex_m4 = 20000 + i;
    trial.footprint = {.model_bytes = 4000 << i,
                       .code_bytes = 5000,
                       .arena_bytes = 19000 + i,
                       .static_bytes = 12,
                       .stack_bytes = 345};
    trial.latency = {.instructions = 1'000'000, .milliseconds = 12.5, .error_fraction = 0.25};
    if (i >= complete) {
      trial.outcome = search::Outcome::Skipped;
      trial.reason = "quick accuracy 0.51, gate 0.6";
    } else {
      trial.accuracy_int8 = 0.8 + 0.01 * i;
      trial.sparsity = 0.8;
      for (const char* name : {"quick", "distill", "prune", "quantize"}) {
        search::StageResult stage;
        stage.name = name;
        stage.validation_accuracy = 0.7 + 0.02 * i;
        if (stage.name == "prune") stage.layers = {{1, "conv 3×3×1→16", 144, 0.8}};
        for (int e = 1; e <= 3; ++e)
          stage.history.epochs.push_back({e, 1.0 / e, 0.6, 1.1 / e, 0.6 + 0.03 * e, 2.0});
        stage.trained = 3;
        trial.stages.push_back(stage);
      }
    }
    study.trials.push_back(trial);
  }
  for (int i = complete - 1; i >= 0 && study.top.size() < 5; --i) study.top.push_back(i);
  // Each finalist's second seed is its best, and its trial has that run's figures.
  for (size_t i = 0; i < study.top.size() && i < 2; ++i) {
    const std::string name = i == 0 ? "first" : "second";
    const double lead = i == 0 ? 0.01 : 0;
    search::Finalist finalist;
    finalist.trial = study.top[i];
    finalist.runs = {{1, 0.84 + lead, 0.83, name + "-a.tflite", 0.86, 0.8},
                     {2, 0.85 + lead, 0.84, name + "-b.tflite", 0.87, 0.81}};
    finalist.validation_mean = 0.845 + lead;
    finalist.validation_spread = 0.006;
    finalist.test_mean = 0.835;
    finalist.test_spread = 0.007;
    finalist.best_run = 1;
    study.finalists.push_back(finalist);
    search::TrialResult& trial = study.trials[static_cast<size_t>(finalist.trial)];
    trial.seed = 2;
    trial.accuracy_int8 = finalist.runs[1].validation_accuracy;
    trial.sparsity = finalist.runs[1].sparsity;
    trial.file = finalist.runs[1].file;
    if (i == 0) study.best = finalist.trial;
  }
  return study;
}

}  // namespace retort::report

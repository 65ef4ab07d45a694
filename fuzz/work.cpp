// What a worker reads of a study that others write to: its documents, proposals, the files of a trial that another one comes
// from, and what another worker left of an unfinished trial. Sound ones with some of their values changed, read as a worker
// reads them, up to the first step of training.
#include <algorithm>
#include <array>
#include <map>
#include <stop_token>

#include "base/base64.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "compress/distillation.h"
#include "edits.h"
#include "engine/checkpoint.h"
#include "graph/quantized_form.h"
#include "sealed.h"
#include "search/candidates.h"
#include "search/explore_phase.h"
#include "search/memory_budget.h"
#include "search/proposals.h"
#include "search/shared_work.h"
#include "search/stage_training.h"
#include "search/study_folder.h"
#include "search/synthetic.h"
#include "search/trial_record.h"
#include "search/worker.h"
#include "target.h"

namespace retort::fuzz {
namespace {

namespace fs = std::filesystem;
using Files = std::map<std::string, Seed>;

constexpr std::array<std::string_view, 3> kKeys = {search::kDescriptionKey, search::kSplitKey, "work"};
constexpr int kMostEdits = 6;
constexpr int kBatch = 8;

template <typename Step>
void attempt(const Step& step) {
  try {
    step();
  } catch (const Error&) {
  }
}

// What an unfinished candidate's folder holds: of the stage that follows `stages`, an epoch.
class Unfinished {
 public:
  Unfinished(const graph::Graph& graph, std::vector<std::string> stages, const std::vector<uint32_t>& images)
      : candidate_(search::make_candidate("made", graph, Rng(1), folder() / "made")), images_(images.size()) {
    for (const std::string& stage : stages) {
      candidate_.stages.push_back({.name = stage, .epochs = 1, .trained = 1});
      candidate_.epochs[stage] = 1;
    }
  }

  // The stages' last one has left the quantised form, or it is what is trained now.
  Unfinished& quantise() {
    graph::QuantizedForm form = graph::quantized_form(candidate_.graph, candidate_.parameters);
    for (const graph::ParameterSpec& spec : form.parameters.specs()) {
      if (spec.role != graph::Role::Range) continue;
      const std::span<float> range = form.parameters.at(spec.node, spec.role);
      if (range[1] != 0) continue;  // the input's is known
      range[0] = -1;
      range[1] = 1;
    }
    candidate_.graph = std::move(form.graph);
    candidate_.parameters = std::move(form.parameters);
    return *this;
  }
  Unfinished& leave_weights() {
    save(candidate_.stages.back().name + ".retort");
    return *this;
  }
  Unfinished& begin(const std::string& stage) {
    candidate_.epochs[stage] = 2;
    engine::Checkpoint checkpoint;
    checkpoint.parameters = checkpoint.optimizer.first = checkpoint.optimizer.second = candidate_.parameters;
    checkpoint.history.epochs.push_back({1, 0.5, 0.6, 0.7, 0.8, 1.0});
    checkpoint.step = checkpoint.optimizer.steps = static_cast<int64_t>((images_ + kBatch - 1) / kBatch);
    engine::save_checkpoint(candidate_.folder / (stage + ".checkpoint"), candidate_.graph, checkpoint);
    save(stage + ".best");
    return *this;
  }
  [[nodiscard]] Files files() const {
    search::save_stages(candidate_);
    Files all;
    for (const fs::directory_entry& entry : fs::directory_iterator(candidate_.folder))
      all[entry.path().filename().string()] = read_file(entry.path());
    fs::remove_all(candidate_.folder);
    return all;
  }

 private:
  void save(const std::string& name) const {
    engine::save_model(candidate_.folder / name, {candidate_.graph, candidate_.parameters, {}});
  }

  search::Candidate candidate_;
  size_t images_;
};

// A shared study without trials, and what its trials would be.
class Sound {
 public:
  Sound() : study_(folder() / "study") {
    settings.sampler = "list";
    settings.configs = {"1,1,4,0"};
    settings.pipeline.batch_size = kBatch;
    settings.pipeline.gate = 0;
    settings.teacher.config = "1,1,4,0";
    study_.describe(settings, dataset, "retort search");
    split = study_.split(settings, dataset);
    teach();
    for (const std::string_view key : kKeys) documents.push_back(*storage().document(key));
    there_ = documents;
    propose();
    pipelines.assign(3, settings.pipeline);
    pipelines[1].stages = {"channels", "distill", "export"};
    pipelines[2].stages = {"quantize", "export"};
    const graph::Graph& network = plain.proposal.graph;
    unfinished = {Unfinished(network, {"quick"}, split.train).leave_weights().begin("distill").files(),
                  Unfinished(network, {"quick", "distill", "prune"}, split.train)
                      .leave_weights()
                      .quantise()
                      .begin("quantize")
                      .files(),
                  Unfinished(network, {"distill", "prune", "quantize"}, split.train)
                      .quantise()
                      .leave_weights()
                      .files()};
  }

  [[nodiscard]] study::Storage& storage() { return study_.storage(); }
  [[nodiscard]] static study::Place place() { return study::sqlite_place(folder() / "study" / "study.db"); }

  // Those that differ from what is there.
  void put(const std::vector<std::string>& texts) {
    for (size_t i = 0; i < texts.size(); ++i)
      if (texts[i] != there_[i]) storage().put_document(kKeys[i], texts[i]);
    there_ = texts;
  }

  data::Dataset dataset = search::synthetic(24, 3, 8);
  search::SearchSettings settings = search::preset("notebook");
  data::Split split;
  engine::TeacherLogits logits;
  std::vector<std::string> documents;  // of kKeys
  std::vector<std::string> proposals;  // with a recipe, another seed's, with epochs
  std::vector<search::PipelineSettings> pipelines;
  search::StoredProposal plain;
  std::string parent;  // the proposal of an explored trial, the child's, and the parent's list of files
  std::string child;
  std::string files;
  std::vector<Files> unfinished;

 private:
  void teach() {
    const fs::path npy = folder() / "made" / "logits.npy";
    logits.classes = 3;
    logits.images = dataset.train.count();
    for (size_t i = 0; i < 3 * logits.images; ++i) logits.values.push_back(static_cast<float>(i % 4));
    compress::save_teacher_logits(npy, logits, dataset);
    search::SharedWork work{.pipeline = settings.pipeline, .planned = 9, .cpu = search::cpu_class()};
    for (const char* name : {"logits.npy", "logits.json"})
      work.teacher[name] = storage().put_artefact(read_file(npy.parent_path() / name));
    search::publish(storage(), work);
    fs::remove_all(npy.parent_path());
  }

  void propose() {
    const auto proposed = [&](const std::vector<std::string>& configs) {
      search::SearchSettings listed = settings;
      listed.configs = configs;
      return search::propose(listed, dataset, silent_progress());
    };
    const auto text = [](const search::StoredProposal& stored) {
      return dump_json(search::to_stored(stored));
    };
    plain = proposed(settings.configs).front();
    search::StoredProposal stored = plain;
    stored.recipe = {.alpha = 0.5F, .sparsity = 0.5, .qat = 0.2, .wider = 1.25};
    proposals.push_back(text(stored));
    stored = plain;
    stored.confirms = {.trial = 0, .seed = 7, .epochs = {{"distill", 2}}};
    proposals.push_back(text(stored));
    stored = proposed({"conv 4, sep 6 s2, gap"}).front();
    stored.epochs = {{"quick", 1}, {"distill", 2}};
    proposals.push_back(text(stored));

    const search::StoredProposal first = proposed({"conv 4, gap"}).front();
    parent = text(first);
    stored = proposed({"conv 6, conv 6, gap"}).front();
    stored.effort = search::Effort::Explore;
    stored.proposal.parent = 0;
    child = text(stored);
    const fs::path weights = folder() / "made" / "weights.retort";
    engine::save_model(
        weights, {first.proposal.graph, graph::initialize(first.proposal.graph, Rng(2)), dataset.classes});
    Json list;
    list["weights.retort"] = storage().put_artefact(read_file(weights));
    files = dump_json(list);
    fs::remove_all(weights.parent_path());
  }

  search::StudyFolder study_;
  std::vector<std::string> there_;
};

Sound& sound() {
  static Sound made;
  return made;
}

const fs::path& home() {
  static const fs::path path = folder() / "home";
  return path;
}

std::stop_token stopped() {
  std::stop_source source;
  source.request_stop();
  return source.get_token();
}

// A text with some values changed, or any.
void change(std::string& text, Source& source) {
  text = source.byte() % 16 == 15 ? source.text() : edited(text, source);
}

// A file of weights or a checkpoint with some of its header's values changed and a right hash, or with some bytes.
void change(Seed& file, Source& source) {
  const auto end = std::ranges::find(file, uint8_t{'\n'});
  const uint8_t kind = source.byte() % 8;
  if (kind == 7 && !file.empty()) {
    file[source.below(file.size())] = source.byte();
    return;
  }
  std::string header(file.begin(), end);
  change(header, source);
  Seed changed(header.begin(), header.end());
  changed.insert(changed.end(), end, file.end());
  file = sealed(changed);
}

// As a worker begins: it has read everything when it hears that it is to stop.
void read_documents(Source& source) {
  std::vector<std::string> texts = sound().documents;
  for (int i = 0; i < kMostEdits && !source.ended(); ++i) change(texts[source.byte() % texts.size()], source);
  sound().put(texts);
  const search::WorkerOptions options{.storage = Sound::place(),
                                      .folder = folder() / "worker",
                                      .workers = 1,
                                      .patience_seconds = 0,
                                      .stop = stopped()};
  attempt([&] { static_cast<void>(search::data_spec(options)); });
  search::run_worker(sound().dataset, options);
}

// Up to the first step of training that there is. The memory is less than a fuzzer's limit.
void run_candidate(const search::StoredProposal& stored, const search::CandidateRun& run,
                   const search::PipelineSettings& pipeline) {
  search::MemoryBudget memory(resident_memory() + (int64_t{256} << 20U));
  const std::vector<uint32_t> curriculum =
      search::curriculum_order(pipeline.curriculum, sound().split, &sound().logits, Rng(1));
  const search::TrialResult result = search::run_candidate(stored, run, home(),
                                                           {.dataset = sound().dataset,
                                                            .split = sound().split,
                                                            .settings = pipeline,
                                                            .teacher = &sound().logits,
                                                            .curriculum = curriculum,
                                                            .memory = &memory,
                                                            .stop = stopped()});
  require(result.outcome != search::Outcome::Failed || !result.reason.empty(), "a failure has a reason");
}

void read_proposal(Source& source) {
  std::string text = sound().proposals[source.byte() % sound().proposals.size()];
  const search::PipelineSettings& pipeline = sound().pipelines[source.byte() % sound().pipelines.size()];
  for (int i = 0; i < kMostEdits && !source.ended(); ++i) change(text, source);
  const search::StoredProposal stored = search::proposal_of({.number = 1, .proposal = text});
  const std::string again = dump_json(search::to_stored(stored));
  require(dump_json(search::to_stored(search::proposal_of({.number = 1, .proposal = again}))) == again,
          "what is stored again is the same");
  attempt([&] { static_cast<void>(search::to_new_trial(stored, sound().settings)); });
  const search::CandidateRun run = search::candidate_run(stored, 1, 42, sound().settings.target);
  require(run.file.is_relative() && std::ranges::find(run.file, "..") == run.file.end(),
          "its folder is in the study's");
  run_candidate(stored, run, pipeline);
}

// What a child begins with: its parent's files come from the study, its weights from them.
void read_parent(Source& source) {
  std::array<std::string, 3> texts = {sound().child, sound().parent, sound().files};
  search::SearchSettings settings = sound().settings;
  settings.exploration.start = source.byte() % 2 == 0 ? search::Start::Parent : search::Start::Grow;
  Source weights_source = source.byte() % 4 == 3 ? source : Source({});
  if (weights_source.ended())
    for (int i = 0; i < kMostEdits && !source.ended(); ++i)
      change(texts[source.byte() % texts.size()], source);
  const study::TrialRecord parent{.number = 0, .proposal = texts[1], .stages = {{"files", texts[2]}}};
  const fs::path below = fs::path("parents") / search::trial_folder(parent.number);
  search::get_files(sound().storage(), parent, home(), below);
  const fs::path weights = home() / below / "weights.retort";
  if (!weights_source.ended()) {
    Seed file = read_file(weights);
    for (int i = 0; i < kMostEdits && !weights_source.ended(); ++i) change(file, weights_source);
    write_file_atomic(weights, file);
  }
  const search::StoredProposal child = search::proposal_of({.number = 1, .proposal = texts[0]});
  // What memory they take is compared with what there is, which is more than a fuzzer's.
  constexpr int64_t kMostParameters = 1 << 22;
  if (!search::inherits(child, settings) || graph::parameter_count(child.proposal.graph) > kMostParameters)
    return;
  const graph::Parameters inherited = search::inherited_weights(
      child, search::proposal_of(parent).proposal.config, weights, settings, sound().dataset);
  require(inherited.specs() == graph::parameter_specs(child.proposal.graph), "they are the child's");
}

// What another worker has left of a trial.
void read_unfinished(Source& source) {
  Files files = sound().unfinished[source.byte() % sound().unfinished.size()];
  for (int i = 0; i < kMostEdits && !source.ended(); ++i) {
    auto& [name, file] = *std::next(files.begin(), static_cast<std::ptrdiff_t>(source.byte() % files.size()));
    if (!name.ends_with(".json")) {
      change(file, source);
      continue;
    }
    std::string text(file.begin(), file.end());
    change(text, source);
    file.assign(text.begin(), text.end());
  }
  Json packed = {{"trial", 1}, {"worker", "w"}, {"files", Json::object()}};
  for (const auto& [name, file] : files) packed["files"][name] = to_base64(file);
  if (!source.ended()) edit(packed, source);
  const std::string text = dump_json(packed);
  const search::CandidateRun run = search::candidate_run(sound().plain, 1, 42, sound().settings.target);
  search::unpack(as_bytes(text), home() / run.file);
  run_candidate(sound().plain, run, sound().settings.pipeline);
}

constexpr std::array kParts = {read_documents, read_proposal, read_parent, read_unfinished};

// Else everything would be refused, and nothing would be seen of what follows.
void expect_sound_ones_to_be_read() {
  for (uint8_t part = 0; part < kParts.size(); ++part)
    for (uint8_t choice = 0; choice < 3; ++choice) {
      // Which of them is read, without an edit.
      const std::array<uint8_t, 2> bytes = {choice, 0};
      Source source(Bytes(bytes).first(kParts.at(part) == read_documents    ? 0
                                       : kParts.at(part) == read_unfinished ? 1
                                                                            : 2));
      ErrorCode code = ErrorCode::Interrupted;
      std::string sentence = "no error";
      try {
        kParts.at(part)(source);
      } catch (const Error& error) {
        code = error.code();
        sentence = error.what();
      }
      require(code == ErrorCode::Interrupted, "part " + std::to_string(part) + " is read: " + sentence);
      fs::remove_all(home());
    }
}

size_t entries(const fs::path& place) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(place), fs::directory_iterator()));
}

}  // namespace

void run(Bytes bytes) {
  static const size_t beside = [] {
    fs::create_directories(home());
    expect_sound_ones_to_be_read();
    fs::create_directories(home());
    return entries(folder());
  }();
  if (bytes.empty()) return;
  Source source(bytes.subspan(1));
  attempt([&] { kParts.at(bytes[0] % kParts.size())(source); });
  require(entries(folder()) == beside, "nothing lies beside the folders");
  for (const fs::directory_entry& entry : fs::directory_iterator(home())) fs::remove_all(entry);
}

std::vector<Seed> seeds() {
  std::vector<Seed> all;
  // A value of each number becomes one of each kind.
  for (uint8_t part = 0; part < kParts.size(); ++part)
    for (uint8_t i = 0; i < 50; ++i) {
      const auto place = static_cast<uint8_t>(3 * i);
      const auto value = static_cast<uint8_t>(7 * i % 22);
      if (kParts.at(part) == read_documents)
        all.push_back({part, static_cast<uint8_t>(i % 3), 0, place, 0, value});
      else if (kParts.at(part) == read_proposal)
        all.push_back(
            {part, static_cast<uint8_t>(i % 3), static_cast<uint8_t>(i / 3 % 3), 0, place, 0, value});
      else if (kParts.at(part) == read_parent && i % 2 == 0)
        all.push_back({part, static_cast<uint8_t>(i / 2 % 2), 3, 0, 0, place, 0, value});
      else if (kParts.at(part) == read_parent)
        all.push_back(
            {part, static_cast<uint8_t>(i / 2 % 2), 0, static_cast<uint8_t>(i % 3), 0, place, 0, value});
      else if (i % 2 == 0)
        all.push_back(
            {part, static_cast<uint8_t>(i % 3), static_cast<uint8_t>(i / 3), 0, 0, place, 0, value});
      else
        all.push_back({part, static_cast<uint8_t>(i % 3), static_cast<uint8_t>(i / 3), 0, place, 0, value});
    }
  return all;
}

}  // namespace retort::fuzz

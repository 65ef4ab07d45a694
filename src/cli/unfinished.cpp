#include "cli/unfinished.h"

#include <algorithm>
#include <exception>

#include "base/file.h"
#include "base/json.h"
#include "base/temporary.h"
#include "data/split_record.h"
#include "engine/trainer.h"

namespace retort::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIdentity = "identity.json";
constexpr const char* kLock = ".lock";

fs::path beside(const fs::path& out) {
  fs::path folder = out.has_filename() ? out : out.parent_path();
  return folder += ".unfinished";
}

// It will be removed with everything in it: what has other files and no work of ours is somebody's own.
const fs::path& require_ours(const fs::path& folder) {
  std::error_code missing;
  const fs::directory_iterator files(folder, missing);
  if (!fs::exists(folder / kIdentity, missing) &&
      std::any_of(begin(files), end(files), [](const fs::directory_entry& entry) {
        return entry.path().filename() != kLock && !is_temporary(entry.path());
      }))
    throw_usage("{}: is not the work of a stopped command: remove it or give another --out", folder.string());
  return folder;
}

// "settings distill_epochs: 20, now 10", of the first that differs.
std::string difference(const Json& before, const Json& now) {
  constexpr size_t kShort = 24;  // hashes are not
  const Json old_values = before.flatten();
  const Json new_values = now.flatten();
  for (const Json* side : {&new_values, &old_values}) {
    for (const auto& [key, unused] : side->items()) {
      const std::string was = dump_json(old_values.value(key, Json()));
      const std::string is = dump_json(new_values.value(key, Json()));
      if (was == is) continue;
      std::string name = key.substr(1);
      std::ranges::replace(name, '/', ' ');
      return was.size() > kShort || is.size() > kShort ? "another " + name
                                                       : fmt::format("{} {}, now {}", name, was, is);
    }
  }
  return "another order";  // unreachable for objects
}

}  // namespace

Unfinished::Unfinished(const fs::path& out, const Json& identity, ProgressSink& progress)
    : folder_(beside(out)), lock_(std::make_unique<FileLock>(require_ours(folder_) / kLock)) {
  const fs::path file = folder_ / kIdentity;
  if (holds_work()) {
    Json before;
    try {
      before = parse_json(read_text(file));
    } catch (const std::exception& error) {
      throw_usage("{}: is not the work of a stopped command ({}): remove it or give another --out",
                  folder_.string(), error.what());
    }
    if (before != parse_json(dump_json(identity)))
      throw_usage(
          "{}: holds a stopped run of another command ({}): give that command again to go on with it, remove "
          "the folder, or give another --out",
          folder_.string(), difference(before, identity));
    progress.message(fmt::format("Going on with the stopped run in {}.", folder_.string()));
    return;
  }
  // What one that was killed noted before it had work, that it had diverged for instance, is perhaps another command's.
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_))
    if (entry.path().filename() != kLock) fs::remove_all(entry.path());
  write_text_atomic(file, dump_json(identity, 1) + "\n");
}

Unfinished::~Unfinished() {
  if (!holds_work()) finish();
}

void Unfinished::finish() {
  // The lock goes with the folder, still held: a command that comes now begins a folder of its own.
  std::error_code ignored;  // a folder that stays only takes room
  fs::remove_all(folder_, ignored);
}

void Unfinished::rethrow(const Error& error) {
  // The same command would come to the same step, and another one be refused because of this.
  if (dynamic_cast<const engine::Divergence*>(&error) != nullptr) finish();
  if (error.code() != ErrorCode::Interrupted || !holds_work()) throw error;
  throw Error(error.code(), fmt::format("{}; the same command goes on from its last checkpoint, kept in {}",
                                        error.what(), folder_.string()));
}

bool Unfinished::holds_work() const {
  std::error_code missing;
  const fs::directory_iterator files(folder_, missing);
  return std::any_of(begin(files), end(files), [](const fs::directory_entry& entry) {
    const fs::path extension = entry.path().extension();
    return extension == ".checkpoint" || extension == ".retort";
  });
}

Json identity_of(const data::SplitOptions& split) {
  Json identity = split;
  if (!split.most_validation_images) identity.erase("most_validation_images");  // as earlier versions kept it
  return identity;
}

std::string identity_of(const graph::Graph& graph) {
  Sha256 sha;
  sha.update(graph::graph_to_json(graph));
  return sha.hex();
}

std::string identity_of(std::span<const float> values) {
  Sha256 sha;
  sha.update(std::span(reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()));
  return sha.hex();
}

}  // namespace retort::cli

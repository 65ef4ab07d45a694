// Files of weights and checkpoints whose SHA-256 is right, whatever they hold.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "target.h"

namespace retort::fuzz {

// The same file with the hash that its contents have, where its first line is JSON.
inline std::vector<uint8_t> sealed(Bytes bytes) {
  const auto end = std::find(bytes.begin(), bytes.end(), uint8_t{'\n'});
  Json header = Json::parse(bytes.begin(), end, limit_json_depth("the header", 30), false);
  if (!header.is_object() || end == bytes.end()) return {bytes.begin(), bytes.end()};
  header.erase("sha256");
  Sha256 sha;
  sha.update(dump_json(header));
  sha.update(Bytes(end + 1, bytes.end()));
  header["sha256"] = sha.hex();
  const std::string line = dump_json(header);
  std::vector<uint8_t> all(line.begin(), line.end());
  all.insert(all.end(), end, bytes.end());
  return all;
}

}  // namespace retort::fuzz

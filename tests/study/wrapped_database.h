// A database that is another one but for what a test changes of it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "study/database.h"

namespace retort::study {

class WrappedDatabase : public Database {
 public:
  explicit WrappedDatabase(std::unique_ptr<Database> database) : database_(std::move(database)) {}
  void transact(Transaction kind, const std::function<void(Connection&)>& body) override {
    database_->transact(kind, body);
  }
  [[nodiscard]] const Dialect& dialect() const override { return database_->dialect(); }
  [[nodiscard]] const std::string& name() const override { return database_->name(); }
  bool is_empty(Connection& connection) override { return database_->is_empty(connection); }
  bool has_table(Connection& connection, std::string_view table) override {
    return database_->has_table(connection, table);
  }
  void lock_schema(Connection& connection) override { database_->lock_schema(connection); }
  [[nodiscard]] std::string now() const override { return database_->now(); }
  [[nodiscard]] const std::string& clock() const override { return database_->clock(); }

 private:
  std::unique_ptr<Database> database_;
};

}  // namespace retort::study

#pragma once
#include <gyre/config/bind.hpp>

#include "faults.hpp"
#include "tree.hpp"

namespace gyre::config::detail {

class TreeBinder final : public Binder {
public:
    /// absent: stands for a value that is not there.
    TreeBinder(std::string path, const Node& absent, Faults& faults)
        : path_(std::move(path)), absent_(&absent), faults_(faults) {}

    void leaf(const Node& node, void* value, Decode decode) override;
    void object(const Node& node, void* value, const BoundStruct& type) override;
    void pairs(const Node& node, void* map, void (*add)(Binder&, const Node&, void*)) override;
    void elements(const Node& node, void* list, void (*add)(Binder&, const Node&, void*)) override;
    bool key(const Node& node, void* value, Decode decode) override;
    bool is_null(const Node& node) const override { return node.kind == Kind::nil; }
    bool is_absent(const Node& node) const override { return &node == absent_; }

    /// Keys of the fields marked secret.
    const std::vector<std::string>& secrets() const { return secrets_; }

private:
    void fault(const Node& node, std::string message);
    bool expect(const Node& node, Kind kind);
    void field(const Node& node, void* object, const BoundField& field);
    void unknown(const Node& node, const BoundStruct& type);
    void validate(const Node& node, void* object, const BoundStruct& type);
    void problem_of_validate(const Node& node, std::string_view problem, const BoundStruct& type);
    bool read(const Node& node, void* value, Decode decode, std::string& problem);
    std::string explained(const Node& node, std::string reason) const;

    std::string path_;
    const Node* absent_;
    Faults& faults_;
    Writer writer_{Form::names};
    std::vector<std::string> secrets_;
    const BoundField* ranged_ = nullptr;  // the field whose leaf is read
    bool hidden_ = false;                 // within a secret
    bool unfit_ = false;                  // a value of the object in hand was refused
};

}  // namespace gyre::config::detail

#include "binder.hpp"

#include <gyre/config/secrets.hpp>

namespace gyre::config::detail {
namespace {

/// A longer path, while it lives.
class Within {
public:
    Within(std::string& path, std::string longer) : path_(path), before_(std::exchange(path, std::move(longer))) {}
    ~Within() { path_ = std::move(before_); }
    Within(const Within&) = delete;
    Within& operator=(const Within&) = delete;

private:
    std::string& path_;
    std::string before_;
};

/// "@.servers[3]: reason" parts here; a key in brackets may contain ": ".
std::size_t end_of_path(std::string_view problem) {
    bool quoted = false;
    for (std::size_t i = 1; i < problem.size(); ++i) {
        if (problem[i] == '"') quoted = !quoted;
        if (!quoted && problem.substr(i, 2) == ": ") return i;
    }
    return problem.size();
}

void replace(std::string& text, std::string_view from, std::string_view to) {
    if (const auto at = text.find(from); at != text.npos) text.replace(at, from.size(), to);
}

}  // namespace

bool check_duration(const Reader& reader) {
    Reader ahead(reader.rest());
    std::int64_t number = 0;
    std::string_view text;
    if (!reader.at_text()) return !ahead.integer(number) || number == 0;
    return !ahead.text(text) || !Reader::from_text(text, number) || number == 0;
}

void TreeBinder::fault(const Node& node, std::string message) {
    unfit_ = true;
    if (!faults_.has_room()) return faults_.add(Fault{});
    if (node.history && !node.history->through.empty()) {
        const Step& step = node.history->through.front();
        message += " (from " + step.what + (step.what.starts_with("${") ? "" : ", " + to_text(step.defined)) + ")";
    }
    faults_.add({node.place, path_, std::move(message)});
}

bool TreeBinder::expect(const Node& node, Kind kind) {
    if (node.kind == kind) return true;
    if (node.kind == Kind::end) unfit_ = true;  // somebody was told
    else
        fault(node, std::string("expected ") + (kind == Kind::map ? "an object" : "a list") + ", found " +
                        (hidden_ || node.secret ? std::string(secret_shown) : node.describe()));
    return false;
}

bool TreeBinder::read(const Node& node, void* value, Decode decode, std::string& problem) {
    writer_.clear();
    node.write(writer_);
    Reader reader(writer_.view(), {.strict = true, .from_json = true});
    if (decode(reader, value) && reader.finish()) return true;
    problem = reader.error_message("@");
    return false;
}

std::string TreeBinder::explained(const Node& node, std::string reason) const {
    const bool secret = hidden_ || node.secret || is_secret_name(path_);
    const std::string found = secret ? std::string(secret_shown) : node.kind == Kind::text ? node.text : node.describe();
    if (reason.starts_with("expected integer in [")) {
        const auto begin = reason.find('[');
        const auto range = ranged_ ? ranged_->outside(nullptr) : "outside " + reason.substr(begin, reason.find(']') + 1 - begin);
        return found + " is " + range;
    }
    const auto at = reason.find(", found ");
    if (at != reason.npos && (secret || !node.is_scalar() || node.kind == Kind::nil))
        return reason.substr(0, at) + ", found " + (secret ? found : node.describe());
    if (secret) return "this is not what the field takes, found " + found;
    return reason;
}

void TreeBinder::leaf(const Node& node, void* value, Decode decode) {
    if (node.kind == Kind::end) {
        unfit_ = true;
        return;
    }
    std::string problem;
    if (read(node, value, decode, problem)) return;
    Node changed;
    const Node* whole = &node;
    for (;;) {
        const std::size_t end = end_of_path(problem);
        const auto segments = split_path(std::string_view(problem).substr(1, end - 1));
        const std::string reason = end + 2 < problem.size() ? problem.substr(end + 2) : problem;
        const Node* blamed = whole;
        std::string path = path_;
        for (const auto& segment : segments) {
            const Node* next = blamed->step(segment);
            if (!next) break;
            path = blamed->kind == Kind::array ? path + "[" + segment + "]" : join_path(path, segment);
            blamed = next;
        }
        if (!blamed->is_loose() || !reason.starts_with("expected text")) {
            const Within within(path_, path);
            return fault(*blamed, explained(*blamed, reason));
        }
        if (whole != &changed) {
            changed = node;
            whole = &changed;
        }
        Node* loose = &changed;
        for (const auto& segment : segments)
            if (Node* next = loose->step(segment)) loose = next;
        loose->kind = Kind::text;
        if (read(changed, value, decode, problem)) return;
    }
}

void TreeBinder::field(const Node& node, void* object, const BoundField& field) {
    const bool was_hidden = hidden_;
    const auto was_ranged = std::exchange(ranged_, field.outside ? &field : nullptr);
    const bool was_unfit = std::exchange(unfit_, false);
    if (field.secret) {
        hidden_ = true;
        secrets_.push_back(path_);
        if (node.place.source && node.place.source->has_lines) node.place.source->secrets[node.place.offset] = node.place.length;
    }
    field.bind(*this, node, object);
    if (!unfit_ && field.outside)
        if (const std::string outside = field.outside(object); !outside.empty()) {
            const bool secret = hidden_ || node.secret || is_secret_name(path_);
            const std::string found = secret ? std::string(secret_shown) : node.kind == Kind::text ? node.text : node.describe();
            fault(node, found + " is " + outside);
        }
    hidden_ = was_hidden;
    ranged_ = was_ranged;
    unfit_ |= was_unfit;
}

void TreeBinder::unknown(const Node& node, const BoundStruct& type) {
    if (!faults_.has_room()) return faults_.add(Fault{});
    std::vector<std::string_view> known;
    for (const BoundField& field : type.fields) known.push_back(field.name);
    const Place place = node.key_place.source ? node.key_place : node.place;
    faults_.add({place, path_, "unknown key" + suggestion(node.key, known)});
}

void TreeBinder::object(const Node& node, void* value, const BoundStruct& type) {
    if (!expect(node, Kind::map)) return;
    ranged_ = nullptr;
    const bool was_unfit = std::exchange(unfit_, false);
    for (const Node& child : node.children) {
        const Within within(path_, join_path(path_, child.key));
        const BoundField* known = nullptr;
        for (const BoundField& field : type.fields)
            if (field.name == child.key) known = &field;
        known ? field(child, value, *known) : unknown(child, type);
    }
    // With a value refused it would judge another in its place.
    if (!unfit_ && type.validate) validate(node, value, type);
    unfit_ |= was_unfit;
}

void TreeBinder::validate(const Node& node, void* value, const BoundStruct& type) {
    const Result<> checked = type.validate(value);
    if (checked) return;
    std::string_view rest = checked.error().message();
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        problem_of_validate(node, rest.substr(0, end), type);
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
}

void TreeBinder::problem_of_validate(const Node& node, std::string_view problem, const BoundStruct& type) {
    const std::size_t end = std::min(problem.find(": "), problem.size());
    const auto segments = split_path(problem.substr(0, end));
    const Node* blamed = &node;
    std::string path = path_;
    std::string message(problem);
    bool secret = hidden_;
    for (const BoundField& field : type.fields) {
        if (end == problem.size() || segments.empty() || field.name != segments[0]) continue;
        message = problem.substr(end + 2);
        path += (path.empty() ? "" : ".") + std::string(problem.substr(0, end));
        secret |= field.secret;
        for (const auto& segment : segments) {
            const Node* next = blamed->step(segment);
            if (!next) break;
            blamed = next;
        }
    }
    std::string value;
    if ((secret || is_secret_name(path)) && blamed != &node && blamed->print(value) && !value.empty())
        replace(message, value, secret_shown);
    const Within within(path_, path);
    fault(*blamed, std::move(message));
}

void TreeBinder::pairs(const Node& node, void* map, void (*add)(Binder&, const Node&, void*)) {
    if (!expect(node, Kind::map)) return;
    ranged_ = nullptr;
    for (const Node& child : node.children) {
        const Within within(path_, join_path(path_, child.key));
        add(*this, child, map);
    }
}

void TreeBinder::elements(const Node& node, void* list, void (*add)(Binder&, const Node&, void*)) {
    if (!expect(node, Kind::array)) return;
    ranged_ = nullptr;
    for (std::size_t i = 0; i < node.children.size(); ++i) {
        const Within within(path_, join_path(path_, i));
        add(*this, node.children[i], list);
    }
}

bool TreeBinder::key(const Node& node, void* value, Decode decode) {
    Node key;
    key.kind = Kind::text;
    key.text = node.key;
    key.place = node.key_place.source ? node.key_place : node.place;
    std::string problem;
    if (read(key, value, decode, problem)) return true;
    const std::size_t end = end_of_path(problem);
    fault(key, "as a key: " + (end + 2 < problem.size() ? problem.substr(end + 2) : problem));
    return false;
}

}  // namespace gyre::config::detail

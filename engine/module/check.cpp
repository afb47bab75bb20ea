#include <dlfcn.h>
#include <gyre/module/build.hpp>
#include <gyre/module/check.hpp>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <set>

namespace gyre::module {
namespace {
using world::TypeKind;
using world::TypeTable;

std::string_view name_of(TypeKind kind) {
    return kind == TypeKind::component ? "component" : kind == TypeKind::entity ? "entity" : "service";
}


constexpr const char* cure = "list every data member in describe()";

std::string without_prefix(const std::string& text, const std::string& prefix) {
    return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

/// The types and their components, each once, by name.
std::map<std::string_view, const TypeTable*> all_types(std::span<const TypeTable* const> types) {
    std::map<std::string_view, const TypeTable*> all;
    for (const auto* type : types) {
        all.emplace(type->name, type);
        for (const auto& component : type->components) all.emplace(component.type->name, component.type);
    }
    return all;
}

TypeReport report_type(const TypeTable& type) {
    TypeReport out;
    out.name = type.name;
    out.kind = name_of(type.kind);
    out.layout = type.layout_hash();
    out.size = type.size;
    out.align = type.align;
    for (const auto& field : type.fields)
        out.fields.push_back({std::string(field.name), std::string(field.type), field.layout(), field.offset(), field.size,
                              field.align});
    for (const auto& method : type.methods) out.methods.emplace_back(method.name);
    for (const auto& component : type.components) out.components.emplace_back(component.type->name);
    for (const auto& resident : type.residents) out.residents.emplace_back(resident.name);
    if (type.on_start) out.hooks.emplace_back("on_start");
    if (type.on_stop) out.hooks.emplace_back("on_stop");
    if (type.before_reload) out.hooks.emplace_back("on_before_reload");
    if (type.after_reload) out.hooks.emplace_back("on_after_reload");
    if (type.config_changed) out.hooks.emplace_back("on_config_changed");
    out.migrates = type.migrate != nullptr;
    return out;
}

/// An object over memory filled with one byte; freed without its destructor when that was not run.
class Object {
public:
    Object(const TypeTable& type, std::uint8_t fill, void (*construct)(void*))
        : type_(type), memory_(static_cast<std::uint8_t*>(::operator new(type.size, std::align_val_t(type.align)))) {
        std::memset(memory_, fill, type.size);
        try {
            construct(memory_);
        } catch (...) {
            free();
            throw;
        }
    }
    Object(const Object&) = delete;
    Object& operator=(const Object&) = delete;
    ~Object() {
        type_.destroy(memory_);
        free();
    }
    std::uint8_t* bytes() const { return memory_; }

private:
    void free() { ::operator delete(memory_, std::align_val_t(type_.align)); }
    const TypeTable& type_;
    std::uint8_t* memory_;
};

class ModuleCheck {
public:
    ModuleCheck(const Build& build, const Expectations& expected, CheckReport& report,
                const std::function<void(const std::string&)>& step)
        : expected_(expected), report_(report), step_(step), types_(all_types(build.types())) {
        report.name = build.name();
        report.build = build.id();
        report.api = build.manifest().api;
        report.types = report_types(build.types());
        own_ = build.types();
    }

    void run() {
        if (!expected_.name.empty() && expected_.name != report_.name)
            error("it is module " + report_.name + ", not " + expected_.name);
        for (const auto* type : own_)
            for (const auto& taken : expected_.taken)
                if (taken.type == type->name) error("module " + taken.module + " describes a type " + taken.type + " too");
        for (const auto& [name, type] : types_) check_type(*type);
        compare(report_, expected_);
        for (const auto& sample : expected_.samples) check_sample(sample);
    }

private:
    void error(std::string text) { report_.errors.push_back(std::move(text)); }
    void begin(const std::string& what) {
        if (step_) step_(what);
    }

    void check_type(const TypeTable& type) {
        const std::string name(type.name);
        const auto whole = check_described(type);
        if (!whole) error(whole.error().message());
        // One fault is told once: not again by each entity that has the component.
        for (const auto& component : type.components)
            if (unfit_.contains(component.type)) return;
        begin("constructing " + name);
        try {
            const Object a(type, 0xAA, type.construct_members), b(type, 0x55, type.construct_members);
            const auto hidden = whole ? find_hidden(type, a.bytes(), b.bytes()) : 0;
            if (hidden != 0)
                error(name + ": a member at offset " + std::to_string(hidden) +
                      ", in what else is padding, is in no described field: " + cure);
        } catch (...) {
            error(name + ": its constructor threw " + to_error(std::current_exception()).what());
            unfit_.insert(&type);
        }
    }

    /// Offset of a byte outside of the described fields that a constructor wrote: no padding. 0: none.
    static std::size_t find_hidden(const TypeTable& type, const std::uint8_t* a, const std::uint8_t* b) {
        std::vector<char> described(type.size, 0);
        std::fill_n(described.begin(), std::min(type.base_size, type.size), 1);
        for (const auto& field : type.fields)
            for (std::size_t i = 0; i < field.size && field.offset() + i < type.size; ++i)
                described[field.offset() + i] = 1;
        for (std::size_t i = 0; i < type.size; ++i)
            if (!described[i] && (a[i] != 0xAA || b[i] != 0x55)) return i;
        return 0;
    }

    void check_sample(const Sample& sample) {
        const auto found = types_.find(sample.type);
        if (found == types_.end() || unfit_.contains(found->second)) return;  // told before
        const TypeTable& type = *found->second;
        const std::string what = sample.of.empty() ? sample.type : sample.type + " of " + sample.of;
        begin("reading " + what);
        ++report_.samples;
        try {
            const Object object(type, 0, type.construct);
            Reader reader(sample.fields);
            if (!read_fields(reader, object.bytes(), type.fields, all_fields, type.migrate) || !reader.finish())
                error("cannot carry over " + what + ": " + reader.error(type.name).message());
        } catch (...) {
            error("cannot carry over " + what + ": " + to_error(std::current_exception()).what());
        }
    }

    const Expectations& expected_;
    CheckReport& report_;
    const std::function<void(const std::string&)>& step_;
    std::map<std::string_view, const TypeTable*> types_;
    std::span<const TypeTable* const> own_;
    std::set<const TypeTable*> unfit_;  // those that cannot be made
};

/// "field gold: offset 16 instead of 8"; empty: nothing. Where an entity has its components, its own
/// fields move with them.
std::string difference(const TypeReport& was, const TypeReport& now, bool whole) {
    const auto number = [](const char* what, std::uint64_t a, std::uint64_t b) {
        return a == b ? "" : std::string(what) + " " + std::to_string(b) + " instead of " + std::to_string(a);
    };
    for (std::size_t i = 0; i < std::min(was.fields.size(), now.fields.size()); ++i) {
        const auto &a = was.fields[i], &b = now.fields[i];
        if (a.name != b.name) return "field " + b.name + " instead of " + a.name;
        for (const auto& text : {number("size", a.size, b.size), number("align", a.align, b.align),
                                 whole ? number("offset", a.offset, b.offset) : "",
                                 a.layout == b.layout ? "" : b.type + " is laid out otherwise than " + a.type})
            if (!text.empty()) return "field " + b.name + ": " + text;
    }
    if (was.fields.size() != now.fields.size()) return number("fields:", was.fields.size(), now.fields.size());
    if (!whole) return {};
    for (const auto& text : {number("size", was.size, now.size), number("align", was.align, now.align)})
        if (!text.empty()) return text;
    return was.components == now.components ? "" : "other components";
}

}  // namespace

Result<> check_described(const TypeTable& type) {
    const auto whole = check_layout(type.name, type.size, type.align, type.fields, type.base_size);
    if (!whole) return Error(whole.error().code(), whole.error().message() + ": " + cure);
    const std::size_t base = (type.base_size + type.align - 1) / type.align * type.align;
    if (!type.fields.empty() || type.size <= base) return {};
    return Error(errc::refused, std::string(type.name) + ": " + std::to_string(type.size - base) + " bytes at offset " +
                                    std::to_string(base) + " are in no described field: " + cure);
}

std::vector<TypeReport> report_types(std::span<const TypeTable* const> types) {
    std::vector<TypeReport> out;
    for (const auto& [name, type] : all_types(types)) out.push_back(report_type(*type));
    return out;
}

void compare(CheckReport& found, const Expectations& expected) {
    if (expected.types.empty()) return;
    std::map<std::string_view, const TypeReport*> running;
    for (const auto& type : expected.types) running.emplace(type.name, &type);
    for (auto& type : found.types) {
        const auto at = running.find(type.name);
        if (at == running.end()) {
            type.change = "new";
            continue;
        }
        const TypeReport& was = *at->second;
        running.erase(at);
        const std::string all = difference(was, type, true), own = difference(was, type, type.components.empty());
        type.change = all.empty() && was.layout == type.layout ? "same" : "changed";
        if (was.layout == type.layout && !own.empty())
            found.errors.push_back(type.name + ": its layout hash is that of the running build, its memory is not (" + own +
                                   "): it cannot be trusted");
        if (was.kind != type.kind)
            found.errors.push_back(type.name + ": kind " + type.kind + " instead of " + was.kind);
    }
    for (const auto& [name, was] : running) {
        found.removed.emplace_back(name);
        const auto live = std::ranges::count(expected.samples, name, &Sample::type);
        if (live != 0) found.warnings.push_back(std::string(name) + ": objects of it live, and this build has no such type");
    }
    found.ok = found.errors.empty();
}

CheckReport check_module(const std::string& file, const Expectations& expected,
                         const std::function<void(const std::string&)>& step) {
    const auto begin = [&](const std::string& what) {
        if (step) step(what);
    };
    begin("reading " + file);
    CheckReport report = check_file(file);
    if (!report.ok) return report;
    begin("loading " + file);
    const auto build = load_build(file);
    if (build) ModuleCheck(**build, expected, report, step).run();
    else report.errors.push_back(without_prefix(build.error().message(), "module " + file + ": "));
    report.ok = report.errors.empty();
    begin("unloading " + file);
    return report;
}

}  // namespace gyre::module

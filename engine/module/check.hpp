#pragma once
#include <functional>
#include <gyre/codec/codec.hpp>
#include <gyre/world/type_table.hpp>
#include <string>
#include <vector>

/// What makes a file fit to be loaded: docs/modules.md says why each thing is refused.
namespace gyre::module {

struct FieldReport {
    std::string name;
    std::string type;  ///< As C++ spells it.
    std::uint64_t layout = 0;                       ///< layout_hash() of its type.
    std::uint64_t offset = 0, size = 0, align = 0;  ///< Bytes.
    static consteval auto describe() {
        return gyre::type<FieldReport>("FieldReport", field<&FieldReport::name>(), field<&FieldReport::type>(),
                                       field<&FieldReport::layout>(), field<&FieldReport::offset>(),
                                       field<&FieldReport::size>(), field<&FieldReport::align>());
    }
};

struct TypeReport {
    std::string name;
    std::string kind;  ///< "component", "entity" or "service".
    std::uint64_t layout = 0, size = 0, align = 0;
    std::vector<FieldReport> fields;
    std::vector<std::string> methods, components, residents, hooks;
    bool migrates = false;  ///< It has a migrate().
    /// Of its memory against the running build: "same", "changed" or "new"; empty: nothing was given.
    std::string change;
    static consteval auto describe() {
        return gyre::type<TypeReport>("TypeReport", field<&TypeReport::name>(), field<&TypeReport::kind>(),
                                      field<&TypeReport::layout>(), field<&TypeReport::size>(),
                                      field<&TypeReport::align>(), field<&TypeReport::fields>(),
                                      field<&TypeReport::methods>(), field<&TypeReport::components>(),
                                      field<&TypeReport::residents>(), field<&TypeReport::hooks>(),
                                      field<&TypeReport::migrates>(), field<&TypeReport::change>());
    }
};

/// One line of `errors` is one thing to mend.
struct CheckReport {
    bool ok = false;  ///< No errors.
    std::vector<std::string> errors, warnings;
    std::string file, name, build;
    std::uint32_t api = 0;
    std::vector<TypeReport> types;     ///< By name; components of several entities once.
    std::vector<std::string> removed;  ///< Types of the running build that this one has no more.
    std::uint64_t samples = 0;         ///< Objects of the running build that were read.
    static consteval auto describe() {
        return gyre::type<CheckReport>("CheckReport", field<&CheckReport::ok>(), field<&CheckReport::errors>(),
                                       field<&CheckReport::warnings>(), field<&CheckReport::file>(),
                                       field<&CheckReport::name>(), field<&CheckReport::build>(),
                                       field<&CheckReport::api>(), field<&CheckReport::types>(),
                                       field<&CheckReport::removed>(), field<&CheckReport::samples>());
    }
};

/// An object of the running build: all its described fields, by name.
struct Sample {
    std::string type;
    std::string of;  ///< What it belongs to, for people: "entity 7".
    Bytes fields;
    static consteval auto describe() {
        return gyre::type<Sample>("Sample", field<&Sample::type>(), field<&Sample::of>(), field<&Sample::fields>());
    }
};

/// A type that another module of the node describes.
struct TakenType {
    std::string type, module;
    static consteval auto describe() {
        return gyre::type<TakenType>("TakenType", field<&TakenType::type>(), field<&TakenType::module>());
    }
};

/// What the running node knows and a new build must fit.
struct Expectations {
    std::string name;               ///< Of the module; empty: any.
    std::vector<TypeReport> types;  ///< report_types() of the running build; empty: none runs.
    std::vector<Sample> samples;
    std::vector<TakenType> taken;
    static consteval auto describe() {
        return gyre::type<Expectations>("Expectations", field<&Expectations::name>(), field<&Expectations::types>(),
                                        field<&Expectations::samples>(), field<&Expectations::taken>());
    }
};

/// Every data member of the type is described, but for what hides in padding. Error: refused.
Result<> check_described(const world::TypeTable& type);

/// Of the types and their components, by name.
std::vector<TypeReport> report_types(std::span<const world::TypeTable* const> types);

/// The file alone: nothing of it runs. Cost: reads it once, some ms.
CheckReport check_file(const std::string& file);
/// The same of its bytes. `defined`: whether the engine and its libraries have a symbol; empty: asks
/// this process.
CheckReport check_bytes(BytesView bytes, const std::function<bool(const char* symbol)>& defined = {});

/// Loads it, makes an object of each type and reads the samples. For a fresh process only: what is
/// wrong may kill or hang it. `step` hears what is done next.
CheckReport check_module(const std::string& file, const Expectations& expected = {},
                         const std::function<void(const std::string& step)>& step = {});

/// Holds `found` against the running build: fills `change` and `removed`, adds errors.
void compare(CheckReport& found, const Expectations& expected);

/// For a terminal; every line ends in a newline.
std::string readable(const CheckReport& report);

}  // namespace gyre::module

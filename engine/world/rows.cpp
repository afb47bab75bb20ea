#include <algorithm>
#include <gyre/world/rows.hpp>
#include <map>

namespace gyre::world::detail {
namespace {

constexpr std::size_t parts = 7;
constexpr std::size_t kind_bytes = 1024;  // memory of a kind before it has rows
constexpr std::size_t first_rows = 16;    // for which it has room at once
constexpr std::size_t name_bytes_max = 256;

/// Components of the bytes, by the order they are named in; null: no longer known.
using Named = std::vector<const RowsComponent*>;

/// A kind of rows as it was written: which values follow, and for which rows.
struct Written {
    std::vector<const RowsComponent*> components;
    std::vector<ecs::Row> rows;  // without holes
};

bool read_names(Reader& r, std::span<const RowsComponent> components, Named& named) {
    std::size_t count = 0;
    if (!r.array(count, sizeof(void*))) return false;
    for (std::size_t i = 0; i < count; ++i) {
        std::string_view name;
        if (!r.text(name)) return r.in_element(i);
        if (name.empty() || name.size() > name_bytes_max)
            return r.fail("a component's name has " + std::to_string(name.size()) + " bytes");
        const auto at = std::find_if(components.begin(), components.end(),
                                     [&](const auto& one) { return one.name == name; });
        named.push_back(at == components.end() ? nullptr : &*at);
        if (named.back() && std::count(named.begin(), named.end(), named.back()) > 1)
            return r.fail("component " + std::string(name) + " is named twice");
    }
    return true;
}

bool read_numbers(Reader& r, std::vector<std::uint32_t>& numbers, std::size_t bytes_each) {
    std::size_t count = 0, read = 0;
    if (!r.array(count, bytes_each)) return false;
    numbers.resize(count);
    return r.integers(numbers.data(), count, read) || r.in_element(read);
}

bool read_kind(Reader& r, const Named& named, ecs::Image& image, Written& written,
               std::vector<ecs::Row>& rows) {
    std::size_t count = 0;
    if (!r.exact_array(2) || !r.array(count, sizeof(void*))) return false;
    std::size_t row_bytes = sizeof(ecs::Row);
    for (std::size_t i = 0; i < count; ++i) {
        std::size_t index = 0;
        if (!r.integer(index)) return r.in_element(i);
        if (index >= named.size())
            return r.fail("component " + std::to_string(index) + " of " +
                          std::to_string(named.size()) + " that are named");
        written.components.push_back(named[index]);
        if (named[index]) row_bytes += named[index]->size;
    }
    if (!r.array(count, row_bytes + sizeof(ecs::Row) * 2)) return false;
    for (std::size_t i = 0; i < count; ++i) {
        ecs::Row row;
        if (!r.nil()) {
            if (!r.integer(row.index)) return r.in_element(i);
            if (row.index >= image.generations.size())
                return r.fail("row " + std::to_string(row.index) + " never was");
            row.generation = image.generations[row.index];
            written.rows.push_back(row);
        }
        rows.push_back(row);
    }
    return true;
}

/// Kinds that differ only in what is no longer known become one; the first says the order.
bool read_kinds(Reader& r, const Named& named, std::span<const RowsComponent> components,
                ecs::Image& image, std::vector<Written>& all) {
    std::size_t room = kind_bytes;
    for (const auto& one : components) room += one.size * first_rows;
    std::size_t count = 0;
    if (!r.array(count, room)) return false;
    std::map<std::vector<ecs::ComponentId>, std::size_t> known;
    for (std::size_t k = 0; k < count; ++k) {
        std::vector<ecs::Row> rows;
        if (!read_kind(r, named, image, all.emplace_back(), rows)) return r.in_element(k);
        std::vector<ecs::ComponentId> ids;
        for (const auto* one : all.back().components)
            if (one) ids.push_back(one->id);
        std::sort(ids.begin(), ids.end());
        const bool all_known = ids.size() == all.back().components.size();
        const auto [at, fresh] = known.try_emplace(ids, image.kinds.size());
        if (fresh) {
            image.kinds.push_back({std::move(ids), std::move(rows)});
            continue;
        }
        if (all_known && std::all_of(named.begin(), named.end(), [](auto* one) { return one; }))
            return r.fail("two kinds of rows have the same components") || r.in_element(k);
        auto& merged = image.kinds[at->second].rows;
        merged.insert(merged.end(), rows.begin(), rows.end());
    }
    return true;
}

bool read_values(Reader& r, ecs::World& rows, const std::vector<Written>& kinds) {
    if (!r.exact_array(kinds.size())) return false;
    for (std::size_t k = 0; k < kinds.size(); ++k) {
        const Written& kind = kinds[k];
        if (!r.exact_array(kind.components.size())) return r.in_element(k);
        for (const RowsComponent* component : kind.components) {
            if (!component || component->size == 0) {
                if (!r.skip()) return r.in_element(k);
                continue;
            }
            if (r.nil()) continue;  // was a tag
            if (!r.exact_array(kind.rows.size())) return r.in_element(k);
            for (const ecs::Row row : kind.rows)
                if (!component->decode(rows.value(row, component->id), r))
                    return r.in_element(row.index) || r.in_field(component->name);
        }
    }
    return true;
}

ecs::Constructors constructors(std::span<const RowsComponent> components) {
    ecs::Constructors out;
    for (const auto& one : components) out.push_back({one.id, one.construct});
    return out;
}

bool read_rows(Reader& r, ecs::World& rows, std::span<const RowsComponent> components) {
    Named named;
    ecs::Image image;
    std::vector<Written> kinds;
    if (!r.exact_array(parts)) return false;
    if (!read_names(r, components, named)) return r.in_field("names");
    if (!r.integer(image.version)) return r.in_field("version");
    if (!r.integer(image.ticks)) return r.in_field("ticks");
    if (!read_numbers(r, image.generations, 24)) return r.in_field("generations");
    if (!read_numbers(r, image.unused, 4)) return r.in_field("unused");
    if (!read_kinds(r, named, components, image, kinds)) return r.in_field("kinds");
    if (const std::string wrong = rows.restore(image, constructors(components)); !wrong.empty())
        return r.fail(wrong);
    return read_values(r, rows, kinds) || r.in_field("values");
}

}  // namespace

/// names: the components, which kinds refer to by their place; generations, by index of the row;
/// unused: indexes, the next to be taken first; kinds: [[component...], [index or nil...]] in
/// order of iteration; values: for each kind and component nil (a tag) or the values of its rows.
void encode_rows(Writer& w, ecs::World& rows, std::span<const RowsComponent> components) {
    if (!rows.commands().empty()) rows.flush();
    const ecs::Image image = rows.image();
    w.array(parts);
    w.array(components.size());
    for (const auto& one : components) w.text(one.name);
    w.unsigned_integer(image.version);
    w.unsigned_integer(image.ticks);
    Codec<std::vector<std::uint32_t>>::encode(w, image.generations);
    Codec<std::vector<std::uint32_t>>::encode(w, image.unused);
    w.array(image.kinds.size());
    const auto place_of = [&](ecs::ComponentId id) {
        return static_cast<std::size_t>(
            std::find_if(components.begin(), components.end(),
                         [&](const auto& one) { return one.id == id; }) - components.begin());
    };
    for (const auto& kind : image.kinds) {
        w.array(2);
        w.array(kind.components.size());
        for (const auto id : kind.components) w.unsigned_integer(place_of(id));
        w.array(kind.rows.size());
        for (const ecs::Row row : kind.rows) row ? w.unsigned_integer(row.index) : w.nil();
    }
    w.array(image.kinds.size());
    for (const auto& kind : image.kinds) {
        w.array(kind.components.size());
        for (const auto id : kind.components) {
            const RowsComponent& component = components[place_of(id)];
            if (component.size == 0) {
                w.nil();
                continue;
            }
            w.array(static_cast<std::size_t>(
                std::count_if(kind.rows.begin(), kind.rows.end(), [](auto row) { return bool(row); })));
            for (const ecs::Row row : kind.rows)
                if (row) component.encode(rows.value(row, id), w);
        }
    }
}

bool decode_rows(Reader& r, ecs::World& rows, std::span<const RowsComponent> components) {
    if (!r.enter()) return false;
    const bool ok = read_rows(r, rows, components);
    r.leave();
    if (!ok) rows.restore({}, {});
    return ok;
}

}  // namespace gyre::world::detail

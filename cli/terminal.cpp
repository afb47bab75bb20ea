#include "terminal.hpp"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <utility>

namespace gyre::cli {
namespace {

bool colours(int fd) {
    const char* off = std::getenv("NO_COLOR");
    const char* term = std::getenv("TERM");
    return ::isatty(fd) && !(off && *off) && !(term && std::strcmp(term, "dumb") == 0);
}

std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i);
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const bool same = std::tolower(static_cast<unsigned char>(a[i - 1])) ==
                              std::tolower(static_cast<unsigned char>(b[j - 1]));
            diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, diagonal + !same}));
        }
    }
    return row.back();
}

}  // namespace

std::string styled(int fd, Style style, std::string_view text) {
    if (!colours(fd)) return std::string(text);
    constexpr const char* codes[] = {"1", "2", "31", "32", "33"};
    return std::string("\x1b[") + codes[static_cast<int>(style)] + "m" + std::string(text) + "\x1b[0m";
}

std::string table(int fd, const std::vector<std::vector<std::string>>& rows,
                  const std::vector<std::size_t>& right, std::size_t indent) {
    std::vector<std::size_t> widths;
    for (const auto& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string out;
    for (std::size_t r = 0; r < rows.size(); ++r) {
        std::string line(indent, ' ');
        for (std::size_t i = 0; i < rows[r].size(); ++i) {
            const std::string pad(widths[i] - rows[r][i].size(), ' ');
            line += std::ranges::count(right, i) ? pad + rows[r][i] : rows[r][i] + pad;
            if (i + 1 < rows[r].size()) line += "  ";
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += (r == 0 ? styled(fd, Style::dim, line) : line) + "\n";
    }
    return out;
}

std::vector<std::string> near_names(std::string_view wrong, const std::vector<std::string>& names) {
    std::vector<std::pair<std::size_t, std::string>> near;
    for (const auto& name : names) {
        const std::size_t d = distance(wrong, name);
        const bool part = name.size() > wrong.size() && wrong.size() > 2 &&
                          name.find(wrong) != std::string::npos;
        if (d <= std::max<std::size_t>(2, wrong.size() / 3) || part) near.emplace_back(d, name);
    }
    std::ranges::sort(near);
    std::vector<std::string> found;
    for (const auto& [d, name] : near)
        if (found.size() < 3) found.push_back(name);
    return found;
}

void say(std::string_view text) {
    std::fflush(stdout);
    std::fprintf(stderr, "%s %.*s\n", styled(STDERR_FILENO, Style::bold, "gyre:").c_str(),
                 static_cast<int>(text.size()), text.data());
}

}  // namespace gyre::cli

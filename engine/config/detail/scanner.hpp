#pragma once
#include "faults.hpp"
#include "tree.hpp"

namespace gyre::config::detail {

/// The words of a configuration: spaces and comments, texts, numbers, names.
class Scanner {
public:
    Scanner(Source& source, Faults& faults, bool plain);

protected:
    /// Where the scanner is, as a chain from the innermost key.
    struct Path {
        const Path* outer;
        const std::string* name;  // null: an element
        std::size_t element;
    };

    bool at_end() const { return pos_ >= text_.size(); }
    char at(std::size_t ahead = 0) const { return pos_ + ahead < text_.size() ? text_[pos_ + ahead] : '\0'; }
    void skip_space();
    bool skip_comment();
    /// The text whose quote is next. False: it has no end, and the rest of the line was taken.
    bool scan_text(std::string& to);
    void scan_number(Node& node);
    void scan_word(Node& node);
    /// `'text'`: told and taken.
    void scan_single_quoted(std::string& to);
    /// Letters, digits and what stands in numbers; empty when something else is next.
    std::string_view peek_word() const;
    bool at_word() const;
    std::string found() const;  ///< What is next, for an error.

    void fault(std::size_t begin, std::size_t length, std::string message);
    void fault_here(std::string message, std::size_t length = 1) { fault(pos_, length, std::move(message)); }
    void stop() { stopped_ = true, pos_ = text_.size(); }
    std::string path_text() const;
    Place place(std::size_t begin, std::size_t length) const;

    Source& source_;
    Faults& faults_;
    std::string_view text_;
    std::size_t pos_ = 0;
    const Path* path_ = nullptr;
    bool plain_;
    bool hidden_ = false;   // within a value that no message shows
    bool stopped_ = false;

private:
    void scan_escape(std::string& to);
    bool scan_hex(std::uint32_t& value);
    std::string number_fault(std::string_view token) const;
};

}  // namespace gyre::config::detail

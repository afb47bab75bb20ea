#include "location.hpp"

#include <dwarf.h>

#include <vector>

#include "memory.hpp"

namespace gyre::trace::detail {
namespace {

constexpr std::size_t operations_max = 256;

}  // namespace

Locations::Locations(const FrameState& frame, std::uint64_t address, std::uintptr_t base,
                     Dwarf_Die function)
    : frame_(frame), address_(address), base_(base) {
    Dwarf_Attribute attribute;
    if (dwarf_attr_integrate(&function, DW_AT_frame_base, &attribute))
        frame_base_ = evaluate(&attribute, true);
}

Location Locations::of(Dwarf_Die variable) {
    Dwarf_Attribute attribute;
    if (dwarf_attr(&variable, DW_AT_location, &attribute)) return evaluate(&attribute, false);
    if (dwarf_attr_integrate(&variable, DW_AT_const_value, &attribute)) {
        Dwarf_Sword number = 0;
        if (dwarf_formsdata(&attribute, &number) == 0)
            return {Location::Where::value, static_cast<std::uint64_t>(number)};
    }
    return {};
}

Location Locations::evaluate(Dwarf_Attribute* attribute, bool of_frame_base) {
    Dwarf_Op* program = nullptr;
    std::size_t count = 0;
    if (dwarf_getlocation_addr(attribute, address_, &program, &count, 1) != 1 ||
        count > operations_max)
        return {};
    return run(attribute, program, count, of_frame_base);
}

bool Locations::reg(std::uint64_t number, std::uint64_t& value) const {
    if (number >= std::size(frame_.registers) || !(frame_.known >> number & 1)) return false;
    value = frame_.registers[number];
    return true;
}

Location Locations::run(Dwarf_Attribute* attribute, const Dwarf_Op* program, std::size_t count,
                        bool of_frame_base) {
    using enum Location::Where;
    std::vector<std::uint64_t> stack;
    bool is_value = false;
    const auto pop = [&stack] {
        const auto top = stack.back();
        stack.pop_back();
        return top;
    };
    for (std::size_t i = 0; i < count; ++i) {
        const Dwarf_Op& op = program[i];
        const unsigned code = op.atom;
        std::uint64_t value = 0;
        if (code >= DW_OP_breg0 && code <= DW_OP_breg31) {
            if (!reg(code - DW_OP_breg0, value)) return {};
            stack.push_back(value + op.number);
            continue;
        }
        if ((code >= DW_OP_reg0 && code <= DW_OP_reg31) || code == DW_OP_regx) {
            if (count != 1 || !reg(code == DW_OP_regx ? op.number : code - DW_OP_reg0, value))
                return {};
            // A frame base in a register is the address it holds.
            return {of_frame_base ? memory : Location::Where::value, value};
        }
        if (code >= DW_OP_lit0 && code <= DW_OP_lit31) {
            stack.push_back(code - DW_OP_lit0);
            continue;
        }
        std::size_t needs = 0;
        switch (code) {
            case DW_OP_deref:
            case DW_OP_deref_size:
            case DW_OP_plus_uconst:
            case DW_OP_dup:
            case DW_OP_drop:
            case DW_OP_neg:
            case DW_OP_not:
            case DW_OP_stack_value: needs = 1; break;
            case DW_OP_plus:
            case DW_OP_minus:
            case DW_OP_mul:
            case DW_OP_and:
            case DW_OP_or:
            case DW_OP_xor:
            case DW_OP_shl:
            case DW_OP_shr:
            case DW_OP_shra:
            case DW_OP_swap:
            case DW_OP_over: needs = 2; break;
            default: break;
        }
        if (stack.size() < needs) return {};
        switch (code) {
            case DW_OP_fbreg:
                if (of_frame_base || frame_base_.where != memory) return {};
                stack.push_back(frame_base_.bits + op.number);
                break;
            case DW_OP_bregx:
                if (!reg(op.number, value)) return {};
                stack.push_back(value + op.number2);
                break;
            case DW_OP_call_frame_cfa:
                if (frame_.cfa == 0) return {};
                stack.push_back(frame_.cfa);
                break;
            case DW_OP_addr: stack.push_back(op.number + base_); break;
            case DW_OP_addrx:
            case DW_OP_GNU_addr_index: {
                Dwarf_Attribute indirect;
                Dwarf_Addr found = 0;
                if (dwarf_getlocation_attr(attribute, &op, &indirect) != 0 ||
                    dwarf_formaddr(&indirect, &found) != 0)
                    return {};
                stack.push_back(found + base_);
                break;
            }
            case DW_OP_const1u:
            case DW_OP_const2u:
            case DW_OP_const4u:
            case DW_OP_const8u:
            case DW_OP_constu:
            case DW_OP_const1s:
            case DW_OP_const2s:
            case DW_OP_const4s:
            case DW_OP_const8s:
            case DW_OP_consts: stack.push_back(op.number); break;
            case DW_OP_deref:
            case DW_OP_deref_size: {
                const std::size_t size = code == DW_OP_deref ? 8 : op.number;
                if (size == 0 || size > 8 || !read_memory(pop(), &value, size)) return {};
                stack.push_back(value);
                break;
            }
            case DW_OP_plus_uconst: stack.back() += op.number; break;
            case DW_OP_plus: value = pop(), stack.back() += value; break;
            case DW_OP_minus: value = pop(), stack.back() -= value; break;
            case DW_OP_mul: value = pop(), stack.back() *= value; break;
            case DW_OP_and: value = pop(), stack.back() &= value; break;
            case DW_OP_or: value = pop(), stack.back() |= value; break;
            case DW_OP_xor: value = pop(), stack.back() ^= value; break;
            case DW_OP_shl:
                value = pop(), stack.back() = value < 64 ? stack.back() << value : 0;
                break;
            case DW_OP_shr:
                value = pop(), stack.back() = value < 64 ? stack.back() >> value : 0;
                break;
            case DW_OP_shra:
                value = pop();
                stack.back() = static_cast<std::uint64_t>(static_cast<std::int64_t>(stack.back()) >>
                                                          (value < 64 ? value : 63));
                break;
            case DW_OP_neg: stack.back() = 0 - stack.back(); break;
            case DW_OP_not: stack.back() = ~stack.back(); break;
            case DW_OP_dup: stack.push_back(stack.back()); break;
            case DW_OP_drop: stack.pop_back(); break;
            case DW_OP_swap: std::swap(stack.back(), stack[stack.size() - 2]); break;
            case DW_OP_over: stack.push_back(stack[stack.size() - 2]); break;
            case DW_OP_nop: break;
            case DW_OP_stack_value:
                if (i + 1 != count) return {};  // one piece of several
                is_value = true;
                break;
            default: return {};  // pieces, values at entry and what else is in more than one place
        }
    }
    if (stack.empty()) return {};
    return {is_value ? Location::Where::value : memory, stack.back()};
}

}  // namespace gyre::trace::detail

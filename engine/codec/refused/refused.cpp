// Each CASE is refused with one readable error: engine/codec/refused/run.cmake compiles them.
#include <gyre/codec/codec.hpp>
#include <memory>

using namespace gyre;

struct Undescribed {
    int value = 0;
};
struct HoldsUndescribed {
    Undescribed inner;
    static consteval auto describe() {
        return type<HoldsUndescribed>("HoldsUndescribed", field<&HoldsUndescribed::inner>());
    }
};
struct HoldsPointer {
    int* to = nullptr;
    static consteval auto describe() {
        return type<HoldsPointer>("HoldsPointer", field<&HoldsPointer::to>());
    }
};
struct HoldsView {
    std::string_view text;
    static consteval auto describe() {
        return type<HoldsView>("HoldsView", field<&HoldsView::text>());
    }
};
struct TwoOfOneName {
    int a = 0, b = 0;
    static consteval auto describe() {
        return type<TwoOfOneName>("TwoOfOneName", field<&TwoOfOneName::a>(),
                                  field<&TwoOfOneName::b>("a"));
    }
};
struct TakesReference {
    void set(const std::string&) {}
    static consteval auto describe() {
        return type<TakesReference>("TakesReference", method<&TakesReference::set>());
    }
};
struct TakesView {
    void set(std::string_view) {}
    static consteval auto describe() {
        return type<TakesView>("TakesView", method<&TakesView::set>());
    }
};

#if CASE >= 9
struct Ranges {
    std::string text;
    std::uint8_t small = 1;
    std::chrono::milliseconds wait{};
    std::vector<int> list;
    bool flag = false;
    static consteval auto describe() {
        return type<Ranges>("Ranges",
#if CASE == 9
                            field<&Ranges::text>(range(1, 5))
#elif CASE == 10
                            field<&Ranges::small>(range(5, 1))
#elif CASE == 11
                            field<&Ranges::small>(range(0, 256))
#elif CASE == 12
                            field<&Ranges::wait>(range(1, 10))
#elif CASE == 13
                            field<&Ranges::wait>(range(10ms, 1us))
#elif CASE == 14
                            field<&Ranges::list>(range_min(1))
#elif CASE == 15
                            field<&Ranges::small>(range(0.5, 10))
#elif CASE == 16
                            field<&Ranges::flag>(range(0, 1))
#elif CASE == 17
                            field<&Ranges::wait>(range(10s, 1ms))
#endif
        );
    }
};
auto bytes = encode(Ranges{});
#endif

#if CASE == 0
auto fine = encode(std::vector<std::string>{});
#elif CASE == 1
auto bytes = encode(Undescribed{});
#elif CASE == 2
auto value = decode<HoldsUndescribed>({});
#elif CASE == 3
auto bytes = encode(HoldsPointer{});
#elif CASE == 4
auto bytes = encode(HoldsView{});
#elif CASE == 5
auto bytes = encode(TwoOfOneName{});
#elif CASE == 6
bool checked = check_method<&TakesReference::set>;
#elif CASE == 7
bool checked = check_method<&TakesView::set>;
#elif CASE == 8
auto bytes = encode(std::vector<std::unique_ptr<int>>{});
#endif

#include <gyre/net/sealed_stream.hpp>
#include <gyre/secure/records.hpp>
#include <gyre/task/sync.hpp>

namespace gyre::net {
namespace {

// What came together leaves early, so that the other end works on it meanwhile.
constexpr std::size_t early_bytes = 8 * 1024;
constexpr std::size_t drained_after_bytes = 64 * 1024;  // as the stream beneath counts it
constexpr std::size_t kept_bytes = 2 * 1024;            // of an idle stream, per direction
constexpr std::size_t head_bytes = secure::RecordOpener::head_bytes;

using secure::RecordKind;

/// The head of a handshake message, which is in the clear.
constexpr std::uint8_t handshake_kind = 2;

std::array<std::uint8_t, head_bytes> handshake_head(std::size_t n) {
    return {static_cast<std::uint8_t>(n), static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n >> 16),
            handshake_kind};
}

class SealedIoStream final : public io::Stream, io::StreamHandler {
public:
    SealedIoStream(Executor& executor, std::unique_ptr<io::Stream> inner)
        : executor_(executor), inner_(std::move(inner)) {
        inner_->start(*this);
    }
    ~SealedIoStream() override {
        if (gone_) *gone_ = true;
        close();
    }

    void send_handshake(BytesView message) {
        inner_->write(handshake_head(message.size()), message);
    }
    /// The next message of the handshake. Nothing is read behind it until it is asked for more.
    Task<Bytes> receive_handshake() {
        wanted_ = Wanted::handshake;
        go_on();
        while (!arrived_.is_set() && !failure_) co_await arrived_.wait();
        arrived_.reset();
        if (message_.empty()) throw Error(*failure_);
        co_return std::exchange(message_, {});  // what came before the end counts
    }
    void open(const secure::Secrets& secrets) {
        sealer_.emplace(secrets.send);
        opener_.emplace(secrets.receive);
    }
    /// The first record tells that this client is no recording. What is in it waits for start().
    Task<> receive_first_record() {
        wanted_ = Wanted::first_record;
        go_on();
        while (!arrived_.is_set() && !failure_) co_await arrived_.wait();
        arrived_.reset();
        if (failure_) throw Error(*failure_);
    }
    void confirm() {
        output_.resize(head_bytes);
        seal();
    }

    void start(io::StreamHandler& handler) override {
        GYRE_ASSERT(handler_ == nullptr && sealer_, "a sealed stream starts once, after its handshake");
        handler_ = &handler;
        wanted_ = Wanted::data;
        executor_.at_turn_end(begin_);
    }
    void write(BytesView bytes) override { write(bytes, {}); }
    void write(BytesView head, BytesView body) override {
        if (closed_ || ended_) return;
        add(head);
        add(body);
        if (output_.size() <= head_bytes) return;
        if (output_.size() >= early_bytes || unsent_bytes() > drained_after_bytes) seal();
        else executor_.at_turn_end(flush_);
    }
    std::size_t unsent_bytes() const override {
        return inner_->unsent_bytes() + (output_.empty() ? 0 : output_.size() - head_bytes);
    }
    void pause(bool paused) override {
        if (paused_ == paused) return;
        paused_ = paused;
        if (closed_) return;
        inner_->pause(paused);
        if (!paused && !input_.empty()) executor_.at_turn_end(begin_);
    }
    void close() noexcept override {
        if (closed_) return;
        closed_ = true;
        begin_.unlink();
        flush_.unlink();
        if (sealer_ && !ended_) {
            seal();
            output_.resize(head_bytes);
            seal(RecordKind::close);
        }
        inner_->close();
    }
    io::Endpoint peer() const override { return inner_->peer(); }
    io::Endpoint local() const override { return inner_->local(); }

private:
    enum class Wanted : std::uint8_t { nothing, handshake, first_record, data };
    enum class Step : std::uint8_t { more_bytes, next, stop };

    void add(BytesView bytes) {
        while (!bytes.empty()) {
            if (output_.empty()) output_.resize(head_bytes);
            const std::size_t room = head_bytes + secure::max_record_plain - output_.size();
            const BytesView part = bytes.first(std::min(room, bytes.size()));
            append(output_, part);
            bytes = bytes.subspan(part.size());
            if (part.size() == room) seal();
        }
    }
    void seal(RecordKind kind = RecordKind::data) {
        if (output_.empty()) return;
        sealer_->seal_in_place(kind, output_);
        inner_->write(output_);
        if (output_.capacity() > kept_bytes && output_.size() < output_.capacity() / 4) Bytes().swap(output_);
        output_.clear();
    }

    /// Reads on where it stopped.
    void go_on() {
        if (!input_.empty()) executor_.at_turn_end(begin_);
        if (!paused_) inner_->pause(false);
    }
    bool listens() const {
        return !closed_ && !ended_ && wanted_ != Wanted::nothing && (wanted_ != Wanted::data || !paused_);
    }
    void on_data(BytesView bytes) override {
        append(input_, bytes);
        read();
    }
    /// All records that are whole. A handler may pause, close or destroy this.
    void read() {
        bool gone = false;
        gone_ = &gone;
        // Of the handler's reach while it is told: it may write, pause and close, but not read.
        Bytes input = std::exchange(input_, {});
        std::size_t at = 0;
        while (listens()) {
            const Step step = read_one({input.data() + at, input.size() - at}, at);
            if (gone) return;
            if (step != Step::next) break;
        }
        gone_ = nullptr;
        if (closed_ || ended_) return;
        const bool small = input.size() < input.capacity() / 4;
        input.erase(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(at));
        if (input.empty() && small && input.capacity() > kept_bytes) Bytes().swap(input);
        input_ = std::move(input);
    }
    Step read_one(std::span<std::uint8_t> bytes, std::size_t& at) {
        if (bytes.size() < head_bytes) return Step::more_bytes;
        if (wanted_ == Wanted::handshake) {
            const std::size_t size = bytes[0] | std::size_t{bytes[1]} << 8 | std::size_t{bytes[2]} << 16;
            if (bytes[3] != handshake_kind || size == 0 || size > secure::max_handshake_message)
                return fail(Error(errc::bad_data, "not a handshake of this protocol"));
            if (bytes.size() < head_bytes + size) return Step::more_bytes;
            message_.assign(bytes.begin() + head_bytes,
                            bytes.begin() + static_cast<std::ptrdiff_t>(head_bytes + size));
            at += head_bytes + size;
            tell();
            return Step::stop;
        }
        const auto size = opener_->size(bytes.first(head_bytes));
        if (!size) return fail(size.error());
        if (bytes.size() < *size) return Step::more_bytes;
        const auto record = opener_->open(bytes.first(*size));
        if (!record) return fail(record.error());
        at += *size;
        if (record->kind == RecordKind::close) {
            return fail(Error(errc::disconnected, "the other end closed"));
        }
        if (wanted_ == Wanted::first_record) {
            if (!record->plain.empty()) return fail(Error(errc::bad_data, "the first record is empty"));
            tell();
            return Step::stop;
        }
        if (!record->plain.empty()) handler_->on_data(record->plain);
        return Step::next;
    }
    void tell() {
        wanted_ = Wanted::nothing;
        inner_->pause(true);  // a stranger's bytes are not kept
        arrived_.set();
    }
    Step fail(Error why) {
        ended_ = true;
        failure_ = std::move(why);
        begin_.unlink();
        flush_.unlink();
        inner_->close();
        tell_end();
        return Step::stop;
    }
    void on_closed(const Error& reason) override {
        if (ended_) return;
        ended_ = true;
        failure_ = handler_ && reason.is(errc::disconnected)
                       ? Error(errc::disconnected, std::string(reason.message()) + " (not announced)")
                       : reason;
        begin_.unlink();
        flush_.unlink();
        tell_end();
    }
    /// The last thing that happens: the handler may destroy this.
    void tell_end() {
        if (!handler_) return arrived_.set();
        const Error reason = *failure_;
        handler_->on_closed(reason);
    }
    void on_drained() override {
        if (handler_ && !closed_) handler_->on_drained();
    }

    struct Flush : Ready {
        explicit Flush(SealedIoStream& s)
            : Ready([](Ready& r) { static_cast<Flush&>(r).stream.seal(); }), stream(s) {}
        SealedIoStream& stream;
    };
    void begin() {
        if (ended_ && handler_) return tell_end();  // it ended before it had one
        if (wanted_ == Wanted::data && !paused_) inner_->pause(false);
        read();
    }
    struct Begin : Ready {
        explicit Begin(SealedIoStream& s)
            : Ready([](Ready& r) { static_cast<Begin&>(r).stream.begin(); }),
              stream(s) {}
        SealedIoStream& stream;
    };

    Executor& executor_;
    std::unique_ptr<io::Stream> inner_;
    io::StreamHandler* handler_ = nullptr;
    std::optional<secure::RecordSealer> sealer_;
    std::optional<secure::RecordOpener> opener_;
    Bytes output_;   // room for a head, then what was written
    Bytes input_;    // not whole yet, or not wanted yet
    Bytes message_;  // of the handshake
    std::optional<Error> failure_;
    Event arrived_;
    Flush flush_{*this};
    Begin begin_{*this};
    bool* gone_ = nullptr;  // set while a handler runs: it may destroy this
    Wanted wanted_ = Wanted::nothing;
    bool paused_ = false, closed_ = false, ended_ = false;
};

Error named(const io::Stream& stream, const Error& error) {
    return Error(error.code(), stream.peer().to_string() + ": " + std::string(error.message()));
}

}  // namespace

void refuse_stream(io::Stream& stream, const Error& reason) {
    const Bytes message = secure::clear_refusal(reason);
    const auto head = handshake_head(message.size());
    stream.write(head, message);
    stream.close();
}

secure::Seed fresh_seed(io::Io& io) {
    secure::Seed seed;
    io.random(seed);
    return seed;
}

Task<SealedStream> seal_client(io::Io& io, std::unique_ptr<io::Stream> stream,
                               secure::ClientHandshake handshake, Bytes payload) {
    auto sealed = std::make_unique<SealedIoStream>(io.executor(), std::move(stream));
    sealed->send_handshake(handshake.first(payload));
    const Bytes answer = co_await sealed->receive_handshake();
    auto said = handshake.second(answer);
    if (!said) throw named(*sealed, said.error());
    sealed->open(handshake.secrets());
    sealed->confirm();
    co_return SealedStream{std::move(sealed), *std::move(said)};
}

Task<SealedStream> seal_server(io::Io& io, std::unique_ptr<io::Stream> stream,
                               secure::ServerHandshake handshake, Greet greet) {
    auto sealed = std::make_unique<SealedIoStream>(io.executor(), std::move(stream));
    const Bytes first = co_await sealed->receive_handshake();
    auto said = handshake.first(first);
    const auto answer = said ? greet(*said) : said.error();
    if (!answer) {
        if (const Bytes refusal = handshake.refuse(answer.error()); !refusal.empty())
            sealed->send_handshake(refusal);
        throw named(*sealed, answer.error());
    }
    sealed->send_handshake(handshake.second(*answer));
    sealed->open(handshake.secrets());
    co_await sealed->receive_first_record();
    co_return SealedStream{std::move(sealed), *std::move(said)};
}

}  // namespace gyre::net

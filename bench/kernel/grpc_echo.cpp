#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "echo.grpc.pb.h"
#include "echo.hpp"

// gRPC: callback server, client with a completion queue and WINDOW unary calls outstanding.
namespace kernel_bench {
namespace {

class Service final : public Echo::CallbackService {
    grpc::ServerUnaryReactor* Call(grpc::CallbackServerContext* context, const Payload* call,
                                   Payload* answer) override {
        answer->set_data(call->data());
        auto* reactor = context->DefaultReactor();
        reactor->Finish(grpc::Status::OK);
        return reactor;
    }
};

void serve() {
    Service service;
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service);
    const auto server = builder.BuildAndStart();
    if (!server) std::exit(2);
    announce(static_cast<std::uint16_t>(port));
    server->Wait();
}

struct Call {
    std::unique_ptr<grpc::ClientContext> context;
    Payload answer;
    grpc::Status status;
    std::unique_ptr<grpc::ClientAsyncResponseReader<Payload>> reader;
};

void drive(const Arguments& arguments) {
    const auto stub = Echo::NewStub(grpc::CreateChannel(
        "127.0.0.1:" + std::to_string(arguments.port), grpc::InsecureChannelCredentials()));
    grpc::CompletionQueue queue;
    Payload payload;
    payload.set_data(std::string(payload_bytes, 'x'));
    std::vector<Call> calls(arguments.window);
    const auto start = [&](Call& call) {
        call.context = std::make_unique<grpc::ClientContext>();
        call.reader = stub->AsyncCall(call.context.get(), payload, &queue);
        call.reader->Finish(&call.answer, &call.status, &call);
    };
    Meter meter(arguments);
    for (Call& call : calls) start(call);
    void* tag = nullptr;
    for (bool ok = false; !meter.over() && queue.Next(&tag, &ok);) {
        Call& call = *static_cast<Call*>(tag);
        if (!ok || !call.status.ok() || call.answer.data().size() != payload_bytes) {
            std::fprintf(stderr, "gRPC: %s\n", call.status.error_message().c_str());
            std::exit(3);
        }
        meter.add(1);
        start(call);
    }
    meter.report();
    std::fflush(stdout);
    std::_Exit(0);  // with calls outstanding
}

}  // namespace
}  // namespace kernel_bench

int main(int count, char** values) {
    const kernel_bench::Arguments arguments(count, values);
    if (arguments.server)
        kernel_bench::serve();
    else
        kernel_bench::drive(arguments);
}

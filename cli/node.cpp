#include <fcntl.h>
#include <gyre/codec/json.hpp>
#include <unistd.h>

#include "commands.hpp"

namespace gyre::cli {

int run_nodes(const NodeOptions& options) {
    if (options.ready_fd >= 0) ::fcntl(options.ready_fd, F_SETFD, FD_CLOEXEC);
    return node::run_process(options.process, [&options](const node::ClusterFile& file) {
        if (options.ready_fd < 0) return print_banner(file, options.process.data);
        const std::string text = to_json(file);
        (void)!::write(options.ready_fd, text.data(), text.size());
        ::close(options.ready_fd);
    });
}

}  // namespace gyre::cli

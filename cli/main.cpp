#include <gyre/module/loader.hpp>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "commands.hpp"
#include "terminal.hpp"
#ifdef GYRE_HAS_BOTS
#include "bots.hpp"
#endif

namespace gyre::cli {
namespace {

void add_data(CLI::App& command, std::string& data) {
    command.add_option("--data", data, "folder with the keys, documents and logs of the cluster")
        ->capture_default_str();
}

void add_config_options(CLI::App& command, node::ProcessOptions& options) {
    command.add_option("--config", options.config_file, "configuration (gyre.json, if it is there)");
    command.add_option("--profile", options.profile, "which of its $profiles counts")->envname("GYRE_PROFILE");
    command.add_option("--set", options.set, "one value over the configuration: cluster.zone=3")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false);
}

void add_process_options(CLI::App& command, node::ProcessOptions& options) {
    add_data(command, options.data);
    add_config_options(command, options);
    command.add_option("--log", options.log_format, "how the log is written: text, or json (an object a line)")
        ->check(CLI::IsMember({"text", "json"}));
    command.add_option("--ports", options.first_port,
                       "ports counted from this one instead of the configured; 0: free ones");
}

/// "gate_0=4001,4002,0": how `up` gives a node that it restarts the ports it had.
bool read_pin(const std::string& text, std::vector<node::NodeSpec>& pinned) {
    char name[128];
    unsigned short port, client, http;
    if (std::sscanf(text.c_str(), "%127[^=]=%hu,%hu,%hu", name, &port, &client, &http) != 4) return false;
    pinned.push_back({name, "", port, client, http});
    return true;
}

int run(int argc, char** argv) {
    CLI::App app("gyre: runs and operates a cluster of game servers", "gyre");
    app.require_subcommand(1);
    int code = 0;
    std::string data = node::ProcessOptions{}.data;

    UpOptions up_options;
    auto* up_command = app.add_subcommand("up", "start a cluster and keep it running until Ctrl-C");
    add_process_options(*up_command, up_options.process);
    up_command->add_flag("--processes", up_options.processes,
                         "one process for each node, with an etcd: the configured one, or one of its own");
    up_command->callback([&] { code = up(up_options); });

    auto* ps_command = app.add_subcommand("ps", "list the nodes and what they carry");
    PsOptions ps_options;
    add_data(*ps_command, data);
    ps_command->add_flag("--json", ps_options.json, "as JSON");
    ps_command->add_flag("--builds", ps_options.builds, "which build of each module, and what holds old ones");
    ps_command->callback([&] {
        ps_options.data = data;
        code = ps(ps_options);
    });

    ReloadOptions reload_options;
    auto* reload_command = app.add_subcommand("reload", "replace modules of a running cluster: gyre reload arena");
    reload_command->add_option("modules", reload_options.what, "names or files; without: all whose installed file differs");
    add_data(*reload_command, data);
    reload_command->add_flag("--check", reload_options.check, "print what would change, and change nothing");
    auto* full_flag = reload_command->add_flag("--full", reload_options.full, "hold calls and carry over what changed its layout");
    reload_command->add_flag("--incremental", reload_options.incremental, "refuse when a layout changed")->excludes(full_flag);
    reload_command->add_option("--node", reload_options.nodes, "only these nodes")->allow_extra_args(false);
    reload_command->add_option("--canary", reload_options.canary, "so many nodes of each role first");
    reload_command->add_option("--watch", reload_options.watch, "how long the canary is watched")->capture_default_str();
    reload_command->add_option("--deadline", reload_options.deadline, "for methods in flight in a full reload: 2s");
    reload_command->add_flag("--config", reload_options.config, "read the configuration again instead of modules");
    reload_command->add_flag("--json", reload_options.json, "what the nodes answered, as JSON");
    reload_command->callback([&] {
        reload_options.data = data;
        code = reload(reload_options);
    });

    RollbackOptions rollback_options;
    auto* rollback_command = app.add_subcommand("rollback", "bring back the build before: gyre rollback arena");
    rollback_command->add_option("module", rollback_options.module, "without: the one that was reloaded last");
    add_data(*rollback_command, data);
    rollback_command->add_option("--node", rollback_options.nodes, "only these nodes")->allow_extra_args(false);
    rollback_command->add_option("--steps", rollback_options.steps, "so many builds back")->capture_default_str()->check(CLI::Range(1, 100));
    rollback_command->callback([&] {
        rollback_options.data = data;
        code = roll_back(rollback_options);
    });

    std::uint32_t audit_limit = 30;
    bool audit_json = false;
    auto* audit_command = app.add_subcommand("audit", "who changed what of the cluster");
    add_data(*audit_command, data);
    audit_command->add_option("--limit", audit_limit, "so many of the last")->capture_default_str();
    audit_command->add_flag("--json", audit_json, "as JSON");
    audit_command->callback([&] { code = audit(data, audit_limit, audit_json); });

    LogOptions log_options;
    auto* log_command = app.add_subcommand("log", "what the nodes log, and change it: gyre log set world=debug");
    add_data(*log_command, data);
    log_command->add_flag("--json", log_options.json, "as JSON");
    auto* set_command = log_command->add_subcommand("set", "a level for all, or for a module: debug, world=debug, world=default");
    set_command->add_option("levels", log_options.set, "LEVEL, MODULE=LEVEL or MODULE=default")->required();
    set_command->add_option("--node", log_options.nodes, "only these nodes")->allow_extra_args(false);
    add_data(*set_command, data);
    log_command->callback([&] {
        log_options.data = data;
        code = log(log_options);
    });

    LogsOptions logs_options;
    auto* logs_command = app.add_subcommand("logs", "read the log: gyre logs -f battle_1 --level warn");
    logs_command->add_option("nodes", logs_options.nodes, "only these nodes");
    logs_command->add_flag("--follow,-f", logs_options.follow, "go on with what is written from now on");
    logs_command->add_option("--level,-l", logs_options.level, "this level and above");
    logs_command->add_option("--lines,-n", logs_options.lines, "so many of the last; 0: all")->capture_default_str();
    logs_command->add_option("--since", logs_options.since, "not older: 10min");
    logs_command->add_option("--event", logs_options.event, "events that begin so: net.");
    logs_command->add_option("--grep", logs_options.grep, "lines with this text");
    add_data(*logs_command, data);
    logs_command->callback([&] {
        logs_options.data = data;
        code = logs(logs_options);
    });

    SymbolizeOptions symbolize_options;
    auto* symbolize_command = app.add_subcommand("symbolize", "what crashed where: frames as functions and lines");
    symbolize_command->add_option("files", symbolize_options.files, "crash files, or any text with frames; -: stdin; without: the last crash");
    symbolize_command->add_option("--path", symbolize_options.folders, "a folder with files of those builds")->allow_extra_args(false);
    add_data(*symbolize_command, data);
    symbolize_command->callback([&] {
        symbolize_options.data = data;
        code = symbolize(symbolize_options);
    });

    DevOptions dev_options;
    auto* dev_command = app.add_subcommand("dev", "run a cluster; build and reload what is edited");
    add_process_options(*dev_command, dev_options.up.process);
    dev_command->add_flag("--processes", dev_options.up.processes, "one process for each node");
    dev_command->add_option("--build", dev_options.build, "CMake build folder (the one of this command)");
    dev_command->add_option("--module", dev_options.modules, "only these modules")->allow_extra_args(false);
    dev_command->callback([&] { code = dev(dev_options); });

    CallOptions call_options;
    auto* call_command = app.add_subcommand("call", "call a method: gyre call lobby_0 Lobby.method 1 '\"text\"'");
    call_command->add_option("node", call_options.node, "a node, HOST:PORT, role:ROLE (one of them), all:ROLE, all, or entity:ID")->required();
    call_command->add_option("method", call_options.method, "Type.method")->required();
    call_command->add_option("arguments", call_options.arguments, "a JSON value each");
    call_command->add_option("--entity", call_options.entity, "id of the entity; without: a service");
    call_command->add_option("--timeout", call_options.timeout_s, "seconds")
        ->capture_default_str()
        ->check(CLI::Range(0.001, 3600.0));
    add_data(*call_command, data);
    call_command->callback([&] {
        call_options.data = data;
        code = call(call_options);
    });

    auto* down_command = app.add_subcommand("down", "end a cluster as Ctrl-C does, and wait for its end");
    add_data(*down_command, data);
    down_command->callback([&] { code = down(data); });

    ConfigOptions config_options;
    auto* config_command = app.add_subcommand("config", "look at the configuration; nothing is started");
    config_command->require_subcommand(1);
    auto* config_check = config_command->add_subcommand("check", "say whether a cluster could start with it, or all that is wrong");
    auto* config_show = config_command->add_subcommand("show", "list what is set, and where; secrets are hidden");
    config_show->add_option("section", config_options.key, "only this section");
    config_show->add_flag("--json", config_options.json, "as JSON");
    config_show->add_flag("--defaults", config_options.defaults, "also what nobody sets");
    auto* config_explain = config_command->add_subcommand("explain", "tell all of a key: gyre config explain gate.max_sessions");
    config_explain->add_option("key", config_options.key, "as in --set: cluster.nodes[0].port")->required();
    auto* config_schema = config_command->add_subcommand("schema", "print the JSON Schema of gyre.json, for editors");
    for (auto [command, action] : {std::pair(config_check, &check_config), std::pair(config_show, &show_config),
                                std::pair(config_explain, &explain_config), std::pair(config_schema, &print_schema)}) {
        add_config_options(*command, config_options.process);
        command->callback([&config_options, &code, run_it = action] { code = run_it(config_options); });
    }

    CheckOptions check_options;
    auto* module_command = app.add_subcommand("module", "look at the code of games and services");
    module_command->require_subcommand(1);
    auto* check_command = module_command->add_subcommand("check", "say whether a node could load a module, and what is in it");
    check_command->add_option("file", check_options.file, "a module's file, or its name")->required();
    check_command->add_flag("--json", check_options.json, "as JSON");
    check_command->add_option("--expect", check_options.expect, "JSON: types and objects of the running build that it must fit");
    check_command->add_flag("--steps", check_options.steps)->group("");
    check_command->add_option("--limit", check_options.limit_s)->group("");
    check_command->callback([&] { code = check_module(check_options); });

    NodeOptions node_options;
    std::vector<std::string> pins;
    bool all = false;
    auto* node_command = app.add_subcommand("node", "run nodes in this process, without a restart");
    add_process_options(*node_command, node_options.process);
    auto* name_option = node_command->add_option("--name", node_options.process.nodes, "nodes of the configuration")
                            ->allow_extra_args(false);
    node_command->add_flag("--all", all, "all nodes of the configuration")->excludes(name_option);
    node_command->add_option("--ready-fd", node_options.ready_fd)->group("");
    node_command->add_option("--pin", pins)->allow_extra_args(false)->group("");
    node_command->callback([&] {
        if (!all && node_options.process.nodes.empty())
            throw CLI::ValidationError("node", "--all or --name NAME");
        for (const auto& pin : pins)
            if (!read_pin(pin, node_options.process.pinned))
                throw CLI::ValidationError("--pin", pin + ": expected NAME=PORT,PORT,PORT");
        node_options.process.supervised = node_options.ready_fd >= 0;
        code = run_nodes(node_options);
    });

    LinkOptions link_options;
    auto* link_command = app.add_subcommand("link", "a bad link before a server: gyre link --to 127.0.0.1:10000 --link rtt=60ms,loss=5%");
    link_command->add_option("--listen", link_options.listen, "where clients send to; port 0: a free one")->capture_default_str();
    link_command->add_option("--to", link_options.to, "HOST:PORT of the server")->required();
    link_command->add_option("--link", link_options.link, "both directions: rtt=60ms,jitter=5ms,loss=5%,burst=3 (docs/link.md)");
    link_command->add_option("--up", link_options.up, "to the server, instead of --link");
    link_command->add_option("--down", link_options.down, "to the clients, instead of --link");
    link_command->add_option("--seed", link_options.seed, "another run of the same link")->capture_default_str();
    link_command->add_option("--for", link_options.limit, "ends by itself: 60s");
    link_command->add_option("--clients", link_options.clients, "at most so many")->capture_default_str()->check(CLI::Range(1, 100'000));
    link_command->add_flag("--json", link_options.json, "the counters as one line of JSON");
    link_command->callback([&] { code = link(link_options); });

    auto* version_command = app.add_subcommand("version", "which build this is");
    version_command->callback([] {
        std::printf("gyre %s, build %s\n", GYRE_VERSION,
                    module::build_id_of(reinterpret_cast<const void*>(&node::run_process)).c_str());
    });
#ifdef GYRE_HAS_BOTS
    add_bots_command(app, code);
#endif
    if (argc < 2) {
        std::fputs(app.help().c_str(), stderr);
        return node::exit_code::refused;
    }
    std::vector<std::string> commands;
    for (const auto* command : app.get_subcommands(nullptr)) commands.push_back(command->get_name());
    if (argv[1][0] != '-' && !std::ranges::count(commands, argv[1])) {
        const auto near = near_names(argv[1], commands);
        std::string known;
        for (const auto& name : near.empty() ? commands : near) known += (known.empty() ? "" : ", ") + name;
        say("no command \"" + std::string(argv[1]) + "\"; " + (near.empty() ? "there are " : "did you mean ") + known);
        return node::exit_code::refused;
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? node::exit_code::ok : node::exit_code::refused;
    }
    return code;
}

}  // namespace
}  // namespace gyre::cli

int main(int argc, char** argv) {
    try {
        return gyre::cli::run(argc, argv);
    } catch (const std::exception& error) {
        gyre::cli::say(error.what());
        return gyre::node::exit_code::failed;
    }
}

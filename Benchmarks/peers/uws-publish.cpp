// uWebSockets' publish, for `run.sh publish`: whoever opens /group subscribes, and a message at /publish goes to all.
//
// uWebSockets (uNetworking/uWebSockets) and uSockets are not part of this repository. With both beside each other:
//
//   for f in uSockets/src/*.c uSockets/src/eventing/epoll_kqueue.c; do gcc -O2 -DLIBUS_NO_SSL -IuSockets/src -c $f; done
//   g++ -O2 -std=c++20 -DLIBUS_NO_SSL -IuSockets/src -IuWebSockets/src uws-publish.cpp *.o -lz -o uws-publish
//   KHP_UWS_PUBLISH=$PWD/uws-publish ./run.sh publish

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "App.h"

struct Nothing {};

int main(int argc, char **argv) {
    const bool isCompressed = argc > 1 && !strcmp(argv[1], "deflate");
    uWS::App app;
    app.ws<Nothing>("/group", {
        .compression = isCompressed ? uWS::CompressOptions(uWS::SHARED_COMPRESSOR | uWS::SHARED_DECOMPRESSOR) : uWS::DISABLED,
        .maxPayloadLength = 1 << 20,
        .maxBackpressure = 1 << 24,
        .open = [](auto *socket) { socket->subscribe("feed"); },
    });
    app.ws<Nothing>("/publish", {
        .maxPayloadLength = 1 << 20,
        .message = [&app, isCompressed](auto *, std::string_view message, uWS::OpCode) {
            app.publish("feed", message, uWS::TEXT, isCompressed);
        },
    });
    app.listen("127.0.0.1", 0, [](auto *socket) {
        if (!socket) exit(1);
        printf("listening %d\n", us_socket_local_port(0, reinterpret_cast<us_socket_t *>(socket)));
        fflush(nullptr);
    });
    app.run();
}

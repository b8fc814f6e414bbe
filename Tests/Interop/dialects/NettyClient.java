// A client of Netty. Arguments: hixie-76, the URL, a subprotocol or nothing.
// Sends the messages that standard input has as lines of base64, one after the other's echo, and prints what came as JSON.

import io.netty.bootstrap.Bootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.handler.codec.http.DefaultHttpHeaders;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpClientCodec;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.websocketx.CloseWebSocketFrame;
import io.netty.handler.codec.http.websocketx.TextWebSocketFrame;
import io.netty.handler.codec.http.websocketx.WebSocketClientHandshaker;
import io.netty.handler.codec.http.websocketx.WebSocketClientHandshakerFactory;
import io.netty.handler.codec.http.websocketx.WebSocketVersion;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.stream.Collectors;

public class NettyClient {
    static class Talk extends SimpleChannelInboundHandler<Object> {
        final WebSocketClientHandshaker handshaker;
        final List<String> messages;
        final List<String> echoes = new ArrayList<>();
        boolean isClean;

        Talk(WebSocketClientHandshaker handshaker, List<String> messages) {
            this.handshaker = handshaker;
            this.messages = messages;
        }

        @Override
        public void channelActive(ChannelHandlerContext context) {
            handshaker.handshake(context.channel());
        }

        @Override
        protected void channelRead0(ChannelHandlerContext context, Object message) {
            if (!handshaker.isHandshakeComplete()) {
                handshaker.finishHandshake(context.channel(), (FullHttpResponse) message);
                turn(context);
            } else if (message instanceof TextWebSocketFrame) {
                echoes.add(((TextWebSocketFrame) message).text());
                turn(context);
            } else if (message instanceof CloseWebSocketFrame) {
                isClean = true;
                context.close();
            }
        }

        private void turn(ChannelHandlerContext context) {
            if (echoes.size() < messages.size()) {
                context.writeAndFlush(new TextWebSocketFrame(messages.get(echoes.size())));
            } else {
                context.writeAndFlush(new CloseWebSocketFrame());
            }
        }

        @Override
        public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
            System.err.println(cause);
            context.close();
        }
    }

    public static void main(String[] arguments) throws Exception {
        URI url = new URI(arguments[1]);
        String subprotocol = arguments.length > 2 && !arguments[2].isEmpty() ? arguments[2] : null;
        List<String> messages;
        try (BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII))) {
            messages = input.lines()
                .map(line -> new String(Base64.getDecoder().decode(line), StandardCharsets.UTF_8))
                .collect(Collectors.toList());
        }
        Talk talk = new Talk(
            WebSocketClientHandshakerFactory.newHandshaker(
                url, WebSocketVersion.V00, subprotocol, false, new DefaultHttpHeaders().set("Origin", "http://desk.example"),
                1 << 20),
            messages);
        NioEventLoopGroup group = new NioEventLoopGroup(1);
        Bootstrap bootstrap = new Bootstrap()
            .group(group)
            .channel(NioSocketChannel.class)
            .handler(new ChannelInitializer<Channel>() {
                @Override
                protected void initChannel(Channel channel) {
                    channel.pipeline().addLast(new HttpClientCodec(), new HttpObjectAggregator(65536), talk);
                }
            });
        bootstrap.connect(url.getHost(), url.getPort()).sync().channel().closeFuture().sync();
        group.shutdownGracefully(0, 0, java.util.concurrent.TimeUnit.SECONDS).sync();
        String echoes = talk.echoes.stream()
            .map(echo -> '"' + Base64.getEncoder().encodeToString(echo.getBytes(StandardCharsets.UTF_8)) + '"')
            .collect(Collectors.joining(", "));
        String chosen = talk.handshaker.actualSubprotocol();
        System.out.println(
            "{\"base64\": [" + echoes + "], \"subprotocol\": " + (chosen == null ? "null" : '"' + chosen + '"')
            + ", \"clean\": " + talk.isClean + "}");
        System.exit(talk.echoes.size() == messages.size() ? 0 : 1);
    }
}

// A receiver of noticebus webhooks. Java 17 or newer: java Receiver.java
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.regex.Pattern;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public class Receiver {
    static final byte[] SECRET = Base64.getDecoder().decode(System.getenv("WEBHOOK_SECRET").replaceFirst("^whsec_", ""));
    static final Pattern CHALLENGE = Pattern.compile("\"challenge\":\"([^\"]+)\""); // use your JSON library
    static final int BODY_BYTES_MAX = 2 * 1024 * 1024;
    static final Set<String> SEEN = ConcurrentHashMap.newKeySet(); // keep ids in your database, with a limit
    static final java.util.concurrent.ExecutorService WORK = Executors.newSingleThreadExecutor();

    // Checks age and signature of the body as it came, before anything parses it.
    static boolean isGenuine(String id, String sentAt, String signatures, byte[] body) throws Exception {
        if (id == null || sentAt == null || signatures == null || !sentAt.matches("\\d{1,12}")) return false;
        if (Math.abs(System.currentTimeMillis() / 1000 - Long.parseLong(sentAt)) > 300) return false;
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(SECRET, "HmacSHA256"));
        mac.update((id + "." + sentAt + ".").getBytes(StandardCharsets.UTF_8));
        String right = "v1," + Base64.getEncoder().encodeToString(mac.doFinal(body));
        boolean genuine = false; // several v1 signatures come while the secret is rotated: one is enough
        for (String one : signatures.split(" ")) genuine |= MessageDigest.isEqual(one.getBytes(), right.getBytes());
        return genuine;
    }

    static void handle(String id, String body) {
        System.out.println("handled " + id); // your code here
    }

    static void work(String id, String body) {
        try {
            handle(id, body);
        } catch (Exception error) { // the bus has its 204: keep what failed, tell somebody
            System.err.println("failed " + id + " " + error);
            SEEN.remove(id); // a replay of a notice brings it once more, and then it is no repeat
        }
    }

    static void receive(HttpExchange call) throws IOException {
        try (call) {
            byte[] raw = call.getRequestBody().readNBytes(BODY_BYTES_MAX);
            var headers = call.getRequestHeaders();
            String id = headers.getFirst("webhook-id"), sentAt = headers.getFirst("webhook-timestamp");
            if (!isGenuine(id, sentAt, headers.getFirst("webhook-signature"), raw)) {
                call.sendResponseHeaders(401, -1);
                return;
            }
            String body = new String(raw, StandardCharsets.UTF_8);
            var challenge = CHALLENGE.matcher(body);
            if (body.contains("\"type\":\"org.noticebus.subscription.verify.v1\"") && challenge.find()) {
                byte[] answer = challenge.group(1).getBytes(StandardCharsets.UTF_8);
                call.sendResponseHeaders(200, answer.length);
                call.getResponseBody().write(answer);
                return;
            }
            if (SEEN.add(id)) WORK.execute(() -> work(id, body)); // store it durably here, before the 204
            call.sendResponseHeaders(204, -1); // a repeat is answered like the first, and dropped
        } catch (Exception error) {
            throw new IOException(error);
        }
    }

    public static void main(String[] args) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(System.getenv("PORT"))), 0);
        server.createContext("/", Receiver::receive);
        server.setExecutor(Executors.newFixedThreadPool(16));
        server.start();
    }
}

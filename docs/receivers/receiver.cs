// A receiver of noticebus webhooks. .NET 8 or newer: `dotnet new web`, and this as Program.cs.
using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;

var text = Environment.GetEnvironmentVariable("WEBHOOK_SECRET") ?? throw new("Set WEBHOOK_SECRET.");
var secret = Convert.FromBase64String(text.Replace("whsec_", ""));
if (secret.Length < 24) throw new("WEBHOOK_SECRET is not the subscription's secret.");
var seen = new ConcurrentDictionary<string, bool>(); // keep ids in your database, with a limit
var work = Channel.CreateBounded<JsonElement>(10_000);

var builder = WebApplication.CreateBuilder(args);
builder.WebHost.ConfigureKestrel(server => server.Limits.MaxRequestBodySize = 2 * 1024 * 1024);
var app = builder.Build();

app.MapPost("/{**path}", async (HttpRequest request) =>
{
    using var copy = new MemoryStream();
    await request.Body.CopyToAsync(copy);
    var body = copy.ToArray();
    if (!IsGenuine(request.Headers, body)) return Results.Unauthorized();
    using var parsed = JsonDocument.Parse(body);
    var got = parsed.RootElement.Clone();
    if (got.GetProperty("type").GetString() == "org.noticebus.subscription.verify.v1")
        return Results.Text(got.GetProperty("data").GetProperty("challenge").GetString());
    if (seen.TryAdd(got.GetProperty("id").GetString()!, true)) // a repeat is dropped
        await work.Writer.WriteAsync(got); // store it durably here, before the 204
    return Results.NoContent();
});

_ = Task.Run(async () =>
{
    await foreach (var one in work.Reader.ReadAllAsync())
    {
        try { Handle(one); }
        catch (Exception error) // the bus has its 204: keep what failed, tell somebody, and go on
        {
            Console.Error.WriteLine($"failed {one.GetProperty("id")} {error}");
            seen.TryRemove(one.GetProperty("id").GetString()!, out _); // a replay brings it once more
        }
    }
});
await app.RunAsync($"http://127.0.0.1:{Environment.GetEnvironmentVariable("PORT") ?? "9000"}");

void Handle(JsonElement one) =>
    Console.WriteLine($"handled {one.GetProperty("id")} {one.GetProperty("type")}"); // your code here

// Checks age and signature of the body as it came, before anything parses it.
bool IsGenuine(IHeaderDictionary headers, byte[] body)
{
    string id = headers["webhook-id"].ToString(), sentAt = headers["webhook-timestamp"].ToString();
    if (id == "" || !long.TryParse(sentAt, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds))
        return false;
    if (Math.Abs(DateTimeOffset.UtcNow.ToUnixTimeSeconds() - seconds) > 300) return false;
    var signed = Encoding.UTF8.GetBytes($"{id}.{sentAt}.").Concat(body).ToArray();
    var right = Encoding.ASCII.GetBytes("v1," + Convert.ToBase64String(HMACSHA256.HashData(secret, signed)));
    // Several v1 signatures come while the secret is rotated: one that fits is enough.
    var sent = headers["webhook-signature"].ToString().Split(' ').Select(Encoding.ASCII.GetBytes);
    return sent.Count(one => CryptographicOperations.FixedTimeEquals(one, right)) > 0;
}

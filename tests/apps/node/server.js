// Turns spans of time into words: GET /90000 answers "2m", GET /?long=1 the uptime in words.
const http = require("node:http");
const ms = require("ms");

const server = http.createServer((request, response) => {
  const url = new URL(request.url, "http://app");
  const asked = url.pathname === "/" ? process.uptime() * 1000 : Number(url.pathname.slice(1));
  response.setHeader("Content-Type", "text/plain");
  if (!Number.isFinite(asked)) {
    response.statusCode = 400;
    response.end("A number of milliseconds, please\n");
    return;
  }
  response.end(`${ms(asked, { long: url.searchParams.has("long") })}\n`);
});

server.listen(process.env.PORT || 8080, "0.0.0.0", () => console.log(`spans: listening on port ${server.address().port}`));
process.on("SIGTERM", () => server.close());

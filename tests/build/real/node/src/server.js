const http = require("http");
const os = require("os");

http
  .createServer((request, response) => {
    response.end(JSON.stringify({ path: request.url, user: os.userInfo().username }) + "\n");
  })
  .listen(Number(process.env.PORT), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));

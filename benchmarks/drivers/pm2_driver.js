// Speaks to pm2 through its own library. node pm2_driver.js PATH_OF_PM2; PM2_HOME says where its daemon lives.
"use strict";
const readline = require("node:readline");
const answers = process.stdout.write.bind(process.stdout);
process.stdout.write = process.stderr.write.bind(process.stderr);
console.log = console.error;
const pm2 = require(process.argv[2]);

const promise = (method, ...args) =>
  new Promise((resolve, reject) => pm2[method](...args, (error, value) => (error ? reject(error) : resolve(value))));

const commands = {
  start: () => promise("connect").then(() => 0),
  create: async ({ workers }) => {
    const apps = Object.entries(workers).map(([name, argv]) => ({
      name, script: argv[0], args: argv.slice(1), interpreter: "none", exec_mode: "fork", autorestart: true,
    }));
    await promise("start", apps);
    return apps.length;
  },
  list: async () => (await promise("list")).filter((app) => app.pm2_env.status === "online").length,
  remove: async ({ names }) => {
    if (names.length > 1) await promise("delete", "all");
    else for (const name of names) await promise("delete", name);
    return names.length;
  },
  dump: () => promise("dump").then(() => 0),
  kill: () => promise("killDaemon").then(() => 0),
};

const lines = readline.createInterface({ input: process.stdin });
let last = Promise.resolve();
lines.on("line", (line) => {
  const { command, ...rest } = JSON.parse(line);
  last = last.then(() => commands[command](rest)).then(
    (result) => answers(JSON.stringify({ result }) + "\n"),
    (error) => answers(JSON.stringify({ error: String(error.message || error) }) + "\n"),
  );
});
lines.on("close", () => last.then(() => process.exit(0)));

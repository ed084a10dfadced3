// An application in a temporary folder, with the packed package installed, and the programs that it starts.
import { cpSync, existsSync, mkdtempSync } from "node:fs";
import { once } from "node:events";
import { createServer } from "node:net";
import { basename, join } from "node:path";
import { runChild } from "./child.mjs";
import { startServer } from "./server-program.mjs";

const NPM = "--no-audit --no-fund --prefer-offline --loglevel=error";

/** No framework reports how it is used, and none waits for an answer. */
const QUIET = {
  ASTRO_TELEMETRY_DISABLED: "1",
  CI: "true",
  NEXT_TELEMETRY_DISABLED: "1",
  WRANGLER_SEND_METRICS: "false",
};

/**
 * Copies an application and installs its packages, from its lock file if it has one, with the tarball in place of the
 * published package.
 *
 * @param source the folder of the application
 * @param installation what `installPackage` returned
 * @returns `place`: its folder; `shell(command, options)` runs a command there; `serve(command, ready, options)` starts a
 * server, see `startServer`; `close()` stops the servers
 */
export async function openProject(source, { folder, tarball }) {
  const place = mkdtempSync(join(folder, `${basename(source)}-`));
  cpSync(source, place, { recursive: true });
  const servers = [];
  const environment = (env) => ({ ...process.env, ...QUIET, ...env });
  const shell = async (command, { env, ...options } = {}) => {
    const all = { cwd: place, env: environment(env), show: false, ...options };
    const { ok, output, problem } = await runChild("/bin/sh", ["-c", command], all);
    if (!ok) throw new Error(`${command}: ${problem}\n${output}`);
    return output;
  };
  const serve = async (command, ready, { env, ...options } = {}) => {
    const server = await startServer(command, ready, { cwd: place, env: environment(env), ...options });
    servers.push(server);
    return server;
  };
  const close = async () => {
    for (const server of servers.splice(0)) await server.stop();
  };
  const isLocked = existsSync(join(place, "package-lock.json"));
  if (isLocked) await shell(`npm ci --include=dev ${NPM}`, { minutes: 10 });
  await shell(`npm install ${isLocked ? "--no-save " : ""}${NPM} ${tarball}`, { minutes: 10 });
  return { place, shell, serve, close };
}

/** A port that is free now, for servers that do not take 0. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}

// Puts a folder that was made beside another one in its place. Until then the other one stays whole, so a build that is
// ended in its middle leaves what the last one has made.
import { existsSync, renameSync, rmSync } from "node:fs";

/** Both folders are on one file system. */
export function moveInPlace(made, place) {
  const former = `${made}.former`;
  rmSync(former, { recursive: true, force: true });
  if (existsSync(place)) renameSync(place, former);
  renameSync(made, place);
  rmSync(former, { recursive: true, force: true });
}

/**
 * What this process holds when garbage has been collected.
 */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const gc: () => void = runInNewContext("gc")
setFlagsFromString("--no-expose-gc")

/** Memory, without what nobody holds any more. */
export const collected = async (): Promise<NodeJS.MemoryUsage> => {
  // Memory is given back beside the program: what one collection has found is counted out by the next.
  for (let i = 0; i < 3; i++) {
    gc()
    await new Promise((resume) => setImmediate(resume))
  }
  return process.memoryUsage()
}

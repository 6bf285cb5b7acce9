import type { Way } from "@effect-k8s/testing/pods/Pty"

/** By what terminals can be opened on this machine. */
export const ways: ReadonlyArray<Way> = process.platform === "linux"
  ? ["package", "script"]
  : process.platform === "win32"
  ? []
  : ["package"]

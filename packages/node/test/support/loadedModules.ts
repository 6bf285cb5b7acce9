/**
 * Imports the modules it is told, and prints the URLs of all that were loaded for them.
 */
import { registerHooks } from "node:module"

const loaded: Array<string> = []
registerHooks({
  load: (url, context, nextLoad) => {
    loaded.push(url)
    return nextLoad(url, context)
  }
})
for (const specifier of process.argv.slice(2)) await import(specifier)
console.log(JSON.stringify(loaded))

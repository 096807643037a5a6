// The far side of every wait: two plain functions for a promise, and one closure of WebAssembly for all of them.

let settle;

/** Takes the function that is told of every promise listened to from now on. */
export function connect(told) {
  settle = told;
}

/** Tells how the promise ends, under the wait's number. */
export function listen(promise, wait) {
  // The instance that asked: after a crash the next one numbers its waits anew.
  const told = settle;
  promise.then(
    (value) => tell(told, wait, true, value),
    (error) => tell(told, wait, false, error),
  );
}

/** A crash is told as one that happens in a microtask: who restarts the instance listens for it there. */
function tell(told, wait, fulfilled, value) {
  try {
    told(wait, fulfilled, value);
  } catch (error) {
    reportError(error);
  }
}

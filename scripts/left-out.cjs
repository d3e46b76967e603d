// Replaces modules that packages import and that this program never calls: see LEFT_OUT in build.js.
function unavailable() {
  throw new Error('This is not part of this build.');
}

module.exports = Object.assign(unavailable, { spawn: unavailable });

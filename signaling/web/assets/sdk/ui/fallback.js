// For browsers that cannot read the other scripts: this one is plain ES5. It shows the hidden
// "too old" text of the page instead of leaving "Opening your consultation" there for ever.
(function () {
  function tooOld() {
    var loading = document.getElementById('loading');
    if (!loading) return; // the page has started
    loading.parentNode.removeChild(loading);
    document.getElementById('too-old').hidden = false;
  }
  if (!('noModule' in document.createElement('script'))) tooOld();
  // Modules, but not the syntax of ours.
  window.addEventListener('error', function (e) {
    if (/SyntaxError/.test(String(e.message)) || (e.error && e.error.name === 'SyntaxError')) tooOld();
  });
})();

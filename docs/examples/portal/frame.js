// The same in a frame: less work, and less to restyle and to listen to.
const { invitation } = await (await fetch('invitation')).json();
document.getElementById('visit').src = `https://video.example/j/#${invitation}`;
